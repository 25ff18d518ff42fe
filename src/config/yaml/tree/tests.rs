//! Texts to trees.

use super::*;

fn read(text: &str) -> (Option<Node>, Vec<Problem>) {
    parse(text, &|name| (name == "N").then(|| "8".to_owned()))
}

fn first(text: &str) -> Problem {
    read(text).1.into_iter().next().unwrap()
}

#[test]
fn places_count_characters_from_one() {
    let (node, problems) = read("é: { ü: x, bad: [1, \"zwei\"] }\n");
    assert!(problems.is_empty());
    let Some(Node { kind: Kind::Map(m), .. }) = node else { panic!() };
    let Kind::Map(inner) = &m[0].1.kind else { panic!() };
    assert_eq!(inner[1].0.span, Span { line: 1, column: 12, len: 3 });
    let Kind::Seq(s) = &inner[1].1.kind else { panic!() };
    assert_eq!(s[1].span, Span { line: 1, column: 21, len: 6 });
}

#[test]
fn scalars_keep_their_text() {
    let (node, _) = read("[0308, true, null, \"1\", ${N}, 1e3, \"${N}\"]".replace("[0308", "- 0308\n- ").as_str());
    assert!(node.is_none());
    let (node, _) = read("- 0308\n- True\n- null\n- \"1\"\n- ${N}\n- \"${N}\"\n- off\n- 10s\n");
    let Some(Node { kind: Kind::Seq(s), .. }) = node else { panic!() };
    assert!(matches!(&s[0].kind, Kind::Number(t) if t == "0308"));
    assert!(matches!(&s[1].kind, Kind::Bool(true, t) if t == "True"));
    assert!(s[2].is_null());
    assert!(matches!(&s[3].kind, Kind::String(t) if t == "1"));
    assert!(matches!(&s[4].kind, Kind::Number(t) if t == "8"));
    assert!(matches!(&s[5].kind, Kind::Number(t) if t == "8"));
    assert!(matches!(&s[6].kind, Kind::String(t) if t == "off"));
    assert!(matches!(&s[7].kind, Kind::String(t) if t == "10s"));
}

#[test]
fn a_variable_is_typed_by_its_value_quoted_or_not() {
    let (node, _) = read("[\"${N}\", '${W:-2}', \"${T:-false}\", \"${N}8\", \"${E:-}\", \"$${N}\", \"${U:-null}\"]");
    let Some(Node { kind: Kind::Seq(s), .. }) = node else { panic!() };
    assert!(matches!(&s[0].kind, Kind::Number(t) if t == "8"));
    assert!(matches!(&s[1].kind, Kind::Number(t) if t == "2"));
    assert!(matches!(&s[2].kind, Kind::Bool(false, _)));
    assert!(matches!(&s[3].kind, Kind::String(t) if t == "88"));
    assert!(matches!(&s[4].kind, Kind::String(t) if t.is_empty()));
    assert!(matches!(&s[5].kind, Kind::String(t) if t == "${N}"));
    assert!(s[6].is_null());
}

#[test]
fn duplicate_keys_are_problems() {
    let p = first("a: 1\nb: 2\na: 3\n");
    assert_eq!((p.line, p.column), (3, 1));
    assert_eq!(p.help.as_deref(), Some("the first one is on line 1"));
}

#[test]
fn a_syntax_error_has_a_place() {
    let p = first("a: 1\nb: [1, 2\nc: 3\n");
    assert!(p.line >= 2, "{p:?}");
    assert!(p.message.starts_with("this is not valid YAML"), "{p:?}");
    assert_eq!(first("a:\n\tb: 1\n").help.as_deref(), Some("YAML is indented with spaces, not tabs"));
}

#[test]
fn a_value_without_its_quotes_is_named_once() {
    for (text, column) in [("a: *.b\n", 4), ("a: [[::]:80]\n", 5), ("a: { b: !c }\n", 9), ("a: {b}://c\n", 4)] {
        let problems = read(text).1;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].message.contains("needs quotes"), "{problems:?}");
        assert_eq!(problems[0].column, column, "{problems:?}");
    }
    assert_eq!(first("? [1]\n: 2\n").message, "a key must be plain text");
}

#[test]
fn a_merge_adds_the_keys_that_are_not_there() {
    let (node, problems) = read("a: &x { p: 1, q: 2 }\nb: { q: 3, <<: *x }\nc: { <<: [{ r: 4 }, *x], \"<<\": 5 }\n");
    assert!(problems.is_empty(), "{problems:?}");
    let root = node.unwrap();
    let shown = |name: &str| {
        let Kind::Map(entries) = &root.entry(name).unwrap().1.kind else { panic!() };
        entries.iter().map(|(key, value)| format!("{}={}", key.text, value.text().unwrap())).collect::<Vec<_>>()
    };
    assert_eq!(shown("b"), ["q=3", "p=1"]);
    assert_eq!(shown("c"), ["<<=5", "r=4", "p=1", "q=2"]);
    for bad in ["a: { <<: 1 }\n", "a: { <<: [1] }\n", "a: { <<: }\n"] {
        assert!(first(bad).message.starts_with("`<<` takes over the keys"), "{bad}");
    }
}

#[test]
fn aliases_are_copies_and_cannot_explode() {
    assert!(read("a: &x [1]\nb: *x\n").1.is_empty());
    assert!(!read("a: &x [*x]\n").1.is_empty());
    let mut bomb = String::from("a0: &a0 [1,1,1,1,1,1,1,1,1,1]\n");
    for i in 1..12 {
        let item = format!("*a{}", i - 1);
        bomb.push_str(&format!("a{i}: &a{i} [{}]\n", vec![item; 10].join(",")));
    }
    assert!(first(&bomb).message.contains("more than"));
    let long = format!("a: &x \"{}\"\nb: [{}]\n", "y".repeat(2 << 20), vec!["*x"; 150_000].join(","));
    assert_eq!(first(&long).message, "aliases stand for more than 64 MiB in this file");
    let open: String = (0..30).map(|n| format!("&a{n} [")).collect();
    let nested = format!("{open}\"{}\"{}", "y".repeat(3 << 20), "]".repeat(30));
    assert!(first(&nested).message.contains("64 MiB"), "{:?}", first(&nested));
}

#[test]
fn depth_and_documents_are_bounded() {
    assert!(!read(&"[".repeat(10_000)).1.is_empty());
    assert!(!read(&"- ".repeat(10_000)).1.is_empty());
    assert!(!read(&(0..200).map(|i| format!("{}a:\n", " ".repeat(i))).collect::<String>()).1.is_empty());
    assert!(first("a: 1\n---\nb: 1\n").message.contains("second document"));
    assert!(!read("a: !!str 1\n").1.is_empty());
}

#[test]
fn nothing_at_all_is_no_tree() {
    assert!(read("").0.is_none());
    assert!(read("# only a comment\n").0.is_none());
}
