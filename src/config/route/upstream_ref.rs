//! What a route calls an upstream: its name, or the address of a server.

use crate::config::section::{Form, Reader, Scalar, Shape, Syntax, Value};
use crate::config::value::direct_upstream;
use crate::config::yaml::{Node, Span, Yaml};

/// An upstream that a route leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamRef {
    /// Into `Config::upstreams`.
    pub index: usize,
    /// As it is written.
    pub name: String,
}

impl UpstreamRef {
    /// The upstream of this name, which is not an address.
    pub fn named(reader: &mut Reader<'_>, span: Span, name: &str) -> Option<Self> {
        let index = reader.upstreams.index_of(name);
        reader.accept(span, index).map(|index| Self { index, name: name.to_owned() })
    }
}

impl Value for UpstreamRef {
    fn form() -> impl Form<Self> {
        NameOrAddress
    }
}

struct NameOrAddress;

const NAME_OR_ADDRESS: Scalar<String> = Scalar {
    what: "an upstream's name or an address such as `127.0.0.1:3000`",
    syntax: Syntax {
        kind: "upstream or address",
        numbers: false,
        pattern: Some(concat!(
            r"^([A-Za-z0-9._-]{1,64}|([Hh][Tt][Tt][Pp][Ss]?://)?",
            r"([A-Za-z0-9_-]+([.][A-Za-z0-9_-]+)*[.]?|\[[0-9A-Fa-f:.]+(%[^\]/]+)?\])(:0*[1-9][0-9]{0,4})?/?|unix:/[^/].*)$"
        )),
        examples: &["api", "127.0.0.1:3000", "https://app.internal"],
    },
    parse: |text| Ok(text.to_owned()),
    print: |text| Yaml::text(text),
};

impl Form<UpstreamRef> for NameOrAddress {
    fn read(&self, reader: &mut Reader<'_>, node: &Node) -> Option<UpstreamRef> {
        let text = NAME_OR_ADDRESS.read(reader, node)?;
        if reader.upstreams.holds(&text) || !text.contains(':') {
            return UpstreamRef::named(reader, node.span, &text);
        }
        reader.accept(node.span, direct_upstream(&text))?;
        let index = reader.upstreams.add_address(&text, node.span);
        Some(UpstreamRef { index, name: text })
    }

    fn shape(&self) -> Shape {
        NAME_OR_ADDRESS.shape()
    }

    fn print(&self, upstream: &UpstreamRef) -> Yaml {
        NAME_OR_ADDRESS.print(&upstream.name)
    }
}
