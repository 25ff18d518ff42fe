//! Heads of HTTP/2 that are wrong in a field: the one table of them.

pub type Fields<'f> = Vec<(&'f str, &'f [u8])>;

/// A request in which `with` stands for the fields of the same names.
pub fn usual_head<'f>(with: &[(&'f str, &'f [u8])]) -> Fields<'f> {
    let usual: [(&str, &[u8]); 4] =
        [(":method", b"POST"), (":scheme", b"http"), (":authority", b"a.test"), (":path", b"/hostile")];
    let kept = usual.into_iter().filter(|(name, _)| !with.iter().any(|(other, _)| other == name));
    let pseudo = with.iter().copied().filter(|(name, _)| name.starts_with(':'));
    let fields = with.iter().copied().filter(|(name, _)| !name.starts_with(':'));
    kept.chain(pseudo).chain(fields).collect()
}

/// The head without the field of this name.
pub fn without(name: &str) -> Fields<'static> {
    usual_head(&[]).into_iter().filter(|(other, _)| *other != name).collect()
}

/// Each with the clause that forbids it, and what it is called.
pub fn hostile_heads() -> Vec<(&'static str, &'static str, Fields<'static>)> {
    use usual_head as head;
    let groups: Vec<(&str, Vec<(&str, Fields)>)> = vec![
        (
            "RFC 9113 §8.1.1",
            vec![
                ("TE", head(&[("transfer-encoding", b"chunked")])),
                ("TE and CL", head(&[("transfer-encoding", b"chunked"), ("content-length", b"0")])),
                ("two lengths", head(&[("content-length", b"0"), ("content-length", b"0")])),
                ("two lengths that differ", head(&[("content-length", b"0"), ("content-length", b"1")])),
                ("a list of lengths", head(&[("content-length", b"0, 0")])),
                ("a signed length", head(&[("content-length", b"+0")])),
                ("a length of nothing", head(&[("content-length", b"")])),
                ("a length with a zero before", head(&[("content-length", b"00")])),
                ("a length that overflows", head(&[("content-length", b"99999999999999999999")])),
            ],
        ),
        (
            "RFC 9113 §8.2.2",
            vec![
                ("connection", head(&[("connection", b"close")])),
                ("keep-alive", head(&[("keep-alive", b"timeout=5")])),
                ("proxy-connection", head(&[("proxy-connection", b"keep-alive")])),
                ("upgrade", head(&[("upgrade", b"h2c")])),
                ("te", head(&[("te", b"gzip")])),
            ],
        ),
        (
            "RFC 9113 §8.2.1",
            vec![
                ("CR in a value", head(&[("x", b"a\rb")])),
                ("LF in a value", head(&[("x", b"a\nb")])),
                ("CR LF in a value", head(&[("x", b"a\r\ntransfer-encoding: chunked")])),
                ("NUL in a value", head(&[("x", b"a\0b")])),
                ("a leading blank", head(&[("x", b" a")])),
                ("a trailing blank", head(&[("x", b"a ")])),
                ("a leading tab", head(&[("x", b"\ta")])),
                ("a trailing tab", head(&[("x", b"a\t")])),
            ],
        ),
        (
            "RFC 9113 §8.2.1",
            vec![
                ("an uppercase name", head(&[("X-Upper", b"1")])),
                ("an uppercase Host", head(&[("Host", b"a.test")])),
                ("an empty name", head(&[("", b"1")])),
                ("a blank in a name", head(&[("x y", b"1")])),
                ("a colon in a name", head(&[("x:y", b"1")])),
                ("CR LF in a name", head(&[("x\r\ny", b"1")])),
                ("LF in a name", head(&[("x\ny", b"1")])),
                ("NUL in a name", head(&[("x\0", b"1")])),
                ("DEL in a name", head(&[("x\x7f", b"1")])),
                ("a name outside ASCII", head(&[("x\u{e9}", b"1")])),
            ],
        ),
        (
            "RFC 9113 §8.3",
            vec![
                ("no :method", without(":method")),
                ("no :scheme", without(":scheme")),
                ("no :path", without(":path")),
                ("two :method", [head(&[]), vec![(":method", &b"GET"[..])]].concat()),
                ("two :path", [vec![(":path", &b"/"[..])], head(&[])].concat()),
                ("two :scheme", [vec![(":scheme", &b"http"[..])], head(&[])].concat()),
                ("two :authority", [vec![(":authority", &b"a.test"[..])], head(&[])].concat()),
                (":path behind a field", [without(":path"), vec![("x", &b"1"[..]), (":path", b"/hostile")]].concat()),
                ("an unknown one", [vec![(":unknown", &b"1"[..])], head(&[])].concat()),
                (":status", [vec![(":status", &b"200"[..])], head(&[])].concat()),
                (":protocol without CONNECT", [vec![(":protocol", &b"websocket"[..])], head(&[])].concat()),
                ("an unknown scheme", head(&[(":scheme", b"ftp")])),
            ],
        ),
        (
            "RFC 9113 §8.3.1",
            vec![
                ("an empty :path", head(&[(":path", b"")])),
                ("a :path without slash", head(&[(":path", b"hostile")])),
                ("an absolute :path", head(&[(":path", b"http://b.test/")])),
                ("* with POST", head(&[(":path", b"*")])),
                ("* with GET", head(&[(":path", b"*"), (":method", b"GET")])),
                ("a blank in :path", head(&[(":path", b"/a b")])),
                ("a second line in :path", head(&[(":path", b"/ HTTP/1.1\r\nx: y")])),
                ("NUL in :path", head(&[(":path", b"/\0")])),
                ("bytes outside ASCII", head(&[(":path", b"/\xc3\xa9")])),
                ("a broken escape", head(&[(":path", b"/%zz")])),
                ("an encoded NUL", head(&[(":path", b"/%00")])),
            ],
        ),
        (
            "RFC 9113 §8.3.1",
            vec![
                ("another Host", head(&[("host", b"b.test")])),
                ("two Hosts", head(&[("host", b"a.test"), ("host", b"a.test")])),
                ("two Hosts that differ", head(&[("host", b"a.test"), ("host", b"b.test")])),
                ("no host at all", without(":authority")),
                ("an empty :authority", head(&[(":authority", b"")])),
                ("userinfo", head(&[(":authority", b"u@a.test")])),
                ("a blank in :authority", head(&[(":authority", b"a test")])),
                ("a path in :authority", head(&[(":authority", b"a.test/x")])),
                ("a list in :authority", head(&[(":authority", b"a, b")])),
            ],
        ),
        (
            "RFC 9113 §8.3.1",
            vec![
                ("TRACE", head(&[(":method", b"TRACE")])),
                ("a method with a blank", head(&[(":method", b"GET /x")])),
                ("an empty method", head(&[(":method", b"")])),
                ("CONNECT with a path", head(&[(":method", b"CONNECT")])),
                ("CONNECT", vec![(":method", b"CONNECT"), (":authority", b"a.test:80")]),
            ],
        ),
    ];
    let with_clause = |(clause, cases): (&'static str, Vec<(&'static str, Fields<'static>)>)| {
        cases.into_iter().map(move |(what, fields)| (clause, what, fields))
    };
    groups.into_iter().flat_map(with_clause).collect()
}
