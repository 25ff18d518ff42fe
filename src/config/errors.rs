//! `errors`: what a client sees when the proxy itself answers with an error.

use std::path::{Path, PathBuf};

use bytes::Bytes;

use super::section::{Fields, Reader, map, section};
use super::value::{ERROR_STATUSES, FileToRead, StatusSet};
use super::yaml::{Invalid, Parsed};

section! {
    /// What a client sees when the proxy itself answers with an error.
    #[derive(Clone, Debug)]
    "`errors`" pub struct ErrorPages {
        /// A status such as `502`, or a class such as `5xx`, to a .html, .json or .txt file. A status takes precedence over its class.
        pages: Vec<(StatusSet, ErrorPage)> = {}, with map("statuses to files", ERROR_STATUSES, PAGE);
    }
    check ErrorPages::sort;
}

impl ErrorPages {
    /// Exact statuses come before classes; within each the file's order stays.
    fn sort(&mut self, _: &mut Reader<'_>, _: &Fields<'_>) {
        self.pages.sort_by_key(|(set, _)| matches!(set, StatusSet::Class(_)));
    }
}

#[derive(Clone, Debug)]
pub struct ErrorPage {
    pub path: PathBuf,
    /// By the file's ending.
    pub content_type: &'static str,
    /// Shared by all answers that show it.
    pub body: Bytes,
}

const PAGE: FileToRead<ErrorPage> = FileToRead {
    what: "a file's path",
    pattern: Some("[.]([Hh][Tt][Mm][Ll]?|[Jj][Ss][Oo][Nn]|[Tt][Xx][Tt])$"),
    accepts: |path| content_type(path).map(drop),
    parse: |path, body| {
        let content_type = content_type(&path)?;
        Ok(ErrorPage { path, content_type, body: body.into() })
    },
    path: |page| &page.path,
};

fn content_type(path: &Path) -> Parsed<&'static str> {
    let ending = path.extension().and_then(|e| e.to_str()).map(str::to_ascii_lowercase);
    match ending.as_deref() {
        Some("html" | "htm") => Ok("text/html; charset=utf-8"),
        Some("json") => Ok("application/json"),
        Some("txt") => Ok("text/plain; charset=utf-8"),
        Some(_) | None => Err(Invalid::new("an error page is a .html, .json or .txt file")),
    }
}
