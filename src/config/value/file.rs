//! Files that the configuration names: those that are read with it, and those that the
//! process will make.

use std::path::{Path, PathBuf};

use crate::config::section::{Form, Reader, Shape, Syntax, nearest};
use crate::config::yaml::{Invalid, Node, Parsed, Span, Yaml};

/// A file that is read when the configuration is; `parse` makes the value of what it holds.
pub struct FileToRead<T> {
    pub what: &'static str,
    pub pattern: Option<&'static str>,
    /// Whether a file may have this path.
    pub accepts: fn(&Path) -> Parsed<()>,
    /// Errors are those of the place where the file is named.
    pub parse: fn(PathBuf, Vec<u8>) -> Parsed<T>,
    pub path: fn(&T) -> &Path,
}

impl<T> std::fmt::Debug for FileToRead<T> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FileToRead").field("what", &self.what).finish_non_exhaustive()
    }
}

impl<T> Form<T> for FileToRead<T> {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<T> {
        let Some(text) = node.text() else {
            reader.expected(node, &[self.what]);
            return None;
        };
        let path = reader.path(text);
        let bytes = (self.accepts)(&path).and_then(|()| read_file(&path, text));
        let parsed = bytes.and_then(|bytes| (self.parse)(path, bytes));
        reader.accept(node.span, parsed)
    }

    fn shape(&self) -> Shape {
        Shape::Text(Syntax { kind: "file", numbers: true, pattern: self.pattern, examples: &[] })
    }

    fn print(&self, value: &T) -> Yaml {
        Yaml::text((self.path)(value).display())
    }
}

/// The path of a file that is read together with others: by the check of its section.
#[derive(Clone, Copy, Debug)]
pub struct NamedFile(pub &'static str);

impl Form<PathBuf> for NamedFile {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<PathBuf> {
        let Some(text) = node.text() else {
            reader.expected(node, &[self.0]);
            return None;
        };
        Some(reader.path(text))
    }

    fn shape(&self) -> Shape {
        Shape::Text(Syntax { kind: "file", numbers: true, pattern: None, examples: &[] })
    }

    fn print(&self, value: &PathBuf) -> Yaml {
        Yaml::text(value.display())
    }
}

/// The bytes of a file that the configuration names as `written`.
pub fn read_file(path: &Path, written: &str) -> Parsed<Vec<u8>> {
    const LARGEST: u64 = 1024 * 1024;
    let read = std::fs::metadata(path).map_err(|e| e.to_string()).and_then(|metadata| {
        if !metadata.is_file() {
            return Err("it is not a file".to_owned());
        }
        if metadata.len() > LARGEST {
            return Err("it is larger than 1 MiB".to_owned());
        }
        std::fs::read(path).map_err(|e| e.to_string())
    });
    read.map_err(|reason| {
        let from = path.parent().map_or(String::new(), |p| p.display().to_string());
        let help = (!Path::new(written).is_absolute()).then(|| format!("looked for in {from}"));
        Invalid { message: Some(format!("cannot read `{written}`: {reason}")), help }
    })
}

/// A file that the process makes or appends to. A path needs a `/` or a `.`, so that a
/// misspelt word does not become a file.
#[derive(Clone, Copy, Debug)]
pub struct FileToMake {
    /// Whether its folder may be made too.
    pub makes_folder: bool,
}

impl Form<PathBuf> for FileToMake {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<PathBuf> {
        let Some(text) = node.text() else {
            reader.expected(node, &["a file's path"]);
            return None;
        };
        if !text.contains(['/', '.']) || text.ends_with('/') || text.contains('\0') {
            let help = match nearest(text, reader.words().collect::<Vec<_>>()) {
                Some(word) => format!("did you mean `{word}`?"),
                None => "a file is written with its folder, as in `/var/log/x.log` or `./x.log`".into(),
            };
            reader.expected_help(node, &["a file's path"], Some(help));
            return None;
        }
        let path = reader.path(text);
        if !self.makes_folder {
            need_folder(reader, node.span, text, &path);
        } else if let Some(folder) = path.parent().filter(|folder| !folder.is_dir()) {
            need_folder(reader, node.span, text, folder);
        }
        Some(path)
    }

    fn shape(&self) -> Shape {
        Shape::Text(Syntax {
            kind: "file",
            numbers: true,
            pattern: Some("^[^/.]*[/.](.*[^/])?$"),
            examples: &["/var/log/x.log"],
        })
    }

    fn print(&self, value: &PathBuf) -> Yaml {
        Yaml::text(value.display())
    }
}

/// Reports a file or socket that start-up could not make, because its folder is missing.
pub fn need_folder(reader: &mut Reader<'_>, span: Span, written: &str, path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    if let Some(folder) = folder.filter(|folder| !folder.is_dir()) {
        let folder: PathBuf = folder.components().collect();
        let help = format!("make {}, or name another", folder.display());
        reader.error_help(span, format!("cannot make `{written}`: its folder does not exist"), help);
    } else if path.is_dir() {
        reader.error(span, format!("cannot make `{written}`: it is a folder"));
    }
}
