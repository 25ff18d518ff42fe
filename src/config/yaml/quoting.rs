//! Values that YAML takes for something else because they stand without quotes, such as
//! `*.example.com` or `[::]:80`: found in a line of a text that is not valid, and shown
//! with their quotes.

use super::problem::Span;

/// A value that needs quotes.
#[derive(Debug, PartialEq, Eq)]
pub struct Unquoted {
    pub span: Span,
    pub message: String,
    pub help: String,
}

/// No person wrote a longer one, nor brackets in more brackets than this.
const LONGEST_LINE: usize = 2_000;
const DEEPEST: usize = 16;

/// The value around this column that needs quotes. Lines and columns count from 1.
pub fn unquoted(line: &str, number: usize, column: usize) -> Option<Unquoted> {
    let chars: Vec<char> = line.chars().take(LONGEST_LINE + 1).collect();
    if chars.len() > LONGEST_LINE {
        return None;
    }
    let mut scan = Scan { chars, found: Vec::new(), depth: 0 };
    scan.block(0);
    // The parser stops at the value's beginning or somewhere in it, at the latest behind it.
    let is_here = |value: &&Found| value.start < column && column <= value.end + 1;
    let value = scan.found.iter().filter(is_here).max_by_key(|value| value.start)?;
    let text: String = scan.chars.get(value.start..value.end)?.iter().collect();
    let span = Span { line: number, column: value.start + 1, len: value.end - value.start };
    Some(match value.why {
        Why::Escape => Unquoted {
            span,
            message: "in double quotes a `\\` begins an escape, and this one there is not".to_owned(),
            help: format!("write `'{}'`", text.trim_matches('"').replace('\'', "''")),
        },
        why => Unquoted {
            span,
            message: format!("`{text}` needs quotes: {}", why.words()),
            help: format!("write `{}`", quoted(&text)),
        },
    })
}

/// A slip that makes a line no YAML: a `=`, a `;`, a blank that is missing.
pub fn slip(line: &str, number: usize) -> Option<Unquoted> {
    let start = line.find(|c: char| c != ' ' && c != '-')?;
    let rest = line.get(start..)?;
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|end| *end > 0)?;
    let (key, behind) = rest.split_at(end);
    let found = |message: String, help: String| {
        Some(Unquoted { span: Span { line: number, column: start + 1, len: end }, message, help })
    };
    let value = |text: &str| text.trim().trim_end_matches(';').chars().take(60).collect::<String>();
    if let Some(text) = behind.trim_start().strip_prefix('=') {
        return found("YAML has a `:` where this line has a `=`".to_owned(), format!("write `{key}: {}`", value(text)));
    }
    if let Some(text) = behind.strip_prefix(':').filter(|text| text.starts_with(['[', '{', '"', '\''])) {
        return found(format!("a space is missing behind `{key}:`"), format!("write `{key}: {}`", value(text)));
    }
    if line.trim_end().ends_with(';') {
        return found("YAML has no `;` at the end of a line".to_owned(), "leave it out".to_owned());
    }
    None
}

/// In double quotes, where nothing in it would be an escape.
pub fn quoted(text: &str) -> String {
    if text.contains(['"', '\\']) { format!("'{}'", text.replace('\'', "''")) } else { format!("\"{text}\"") }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Why {
    /// The character in front, and what it is to YAML.
    Front(char, &'static str),
    Colon,
    Brackets,
    /// It has quotes, of the wrong kind.
    Escape,
}

impl Why {
    fn words(self) -> String {
        match self {
            // A name of one would look odd in the backticks of a message.
            Self::Front('`', _) => "YAML takes nothing that begins with a backtick".to_owned(),
            Self::Front(c, what) => format!("YAML takes a `{c}` in front for {what}"),
            Self::Colon => "YAML takes `: ` for the end of a key".to_owned(),
            Self::Brackets => "inside brackets YAML takes `[` for a list and `{` for a map".to_owned(),
            Self::Escape => String::new(),
        }
    }

    /// What YAML takes a plain value for by its first character.
    fn front(c: char) -> Option<Self> {
        let what = match c {
            '*' => "an alias",
            '!' => "a tag",
            '%' => "a directive",
            '@' => "a word of its own",
            '`' => "",
            _ => return None,
        };
        Some(Self::Front(c, what))
    }

    fn bracket(c: char) -> Self {
        Self::Front(c, if c == '[' { "a list" } else { "a map" })
    }
}

struct Found {
    /// From, to: in characters from 0.
    start: usize,
    end: usize,
    why: Why,
}

/// A walk over one line, which sees as much of YAML as one line shows.
struct Scan {
    chars: Vec<char>,
    found: Vec<Found>,
    /// In how many brackets it is.
    depth: usize,
}

impl Scan {
    fn at(&self, place: usize) -> char {
        self.chars.get(place).copied().unwrap_or('\n')
    }

    fn skip_blanks(&self, mut place: usize) -> usize {
        while self.at(place) == ' ' {
            place += 1;
        }
        place
    }

    /// Keys and dashes in front of a value, then the value, which ends with the line.
    fn block(&mut self, from: usize) {
        let mut place = self.skip_blanks(from);
        while self.at(place) == '-' && self.at(place + 1) == ' ' {
            place = self.skip_blanks(place + 1);
        }
        let after_key = self.key_end(place);
        let start = self.skip_blanks(after_key.unwrap_or(place));
        let end = self.line_end(start);
        match self.at(start) {
            '"' | '\'' => drop(self.quoted(start)),
            c @ ('[' | '{') => match self.closing(start) {
                // Whatever stands behind a list or a map belongs to a value that begins like one.
                Some(close) if close + 1 == end => drop(self.flow(start)),
                Some(_) if self.looks_like_value(start, end) => self.note(start, end, Why::bracket(c)),
                _ => drop(self.flow(start)),
            },
            c => {
                let colon = after_key.filter(|_| self.has_colon(start, end)).map(|_| Why::Colon);
                if let Some(why) = Why::front(c).or(colon) {
                    self.note(start, end, why);
                }
            }
        }
    }

    /// Whether a list or map with more behind it may be meant as one text.
    fn looks_like_value(&self, start: usize, end: usize) -> bool {
        !self.chars.get(start..end).unwrap_or_default().contains(&'"')
    }

    /// Walks over a list or a map that begins here, to what follows it.
    fn flow(&mut self, open: usize) -> usize {
        let in_map = self.at(open) == '{';
        let mut place = open + 1;
        self.depth += 1;
        if self.depth > DEEPEST {
            return self.chars.len();
        }
        loop {
            place = self.skip_blanks(place);
            match self.at(place) {
                '\n' | '#' => return place,
                ']' | '}' => {
                    self.depth -= 1;
                    return place + 1;
                }
                ',' => place += 1,
                _ => {
                    let key = self.flow_key_end(place).filter(|_| in_map);
                    place = self.flow_value(self.skip_blanks(key.unwrap_or(place)));
                }
            }
        }
    }

    /// Walks over one value inside brackets, to what follows it.
    fn flow_value(&mut self, start: usize) -> usize {
        let c = self.at(start);
        match c {
            ',' | ']' | '}' | '\n' => return start,
            '"' | '\'' => return self.quoted(start),
            '[' | '{' => {
                let behind = self.closing(start).map(|close| self.at(self.skip_blanks(close + 1)));
                if behind.is_none_or(|behind| [',', ']', '}', '\n', '#'].contains(&behind)) {
                    return self.flow(start);
                }
            }
            _ => {}
        }
        let end = self.flow_value_end(start);
        let has =
            |wanted: &[char]| self.chars.get(start..end).is_some_and(|text| text.iter().any(|c| wanted.contains(c)));
        let why = if c == '[' || c == '{' {
            Some(Why::bracket(c))
        } else if self.has_colon(start, end) {
            Why::front(c).or(Some(Why::Colon))
        } else {
            Why::front(c).or(has(&['[', '{']).then_some(Why::Brackets))
        };
        if let Some(why) = why {
            self.note(start, end, why);
        }
        end
    }

    fn note(&mut self, start: usize, end: usize, why: Why) {
        self.found.push(Found { start, end, why });
    }

    /// Where the plain or quoted key that begins here has ended with its colon, if one does.
    fn key_end(&self, from: usize) -> Option<usize> {
        let mut place = from;
        while !matches!(self.at(place), '\n' | '[' | '{' | ',' | '#') {
            if self.at(place) == ':' && matches!(self.at(place + 1), ' ' | '\n') {
                return Some(place + 1);
            }
            place += 1;
        }
        None
    }

    fn flow_key_end(&self, from: usize) -> Option<usize> {
        self.key_end(from).filter(|end| !self.chars.get(from..*end).unwrap_or_default().contains(&'}'))
    }

    /// The end of the line without its comment and the blanks in front of that.
    fn line_end(&self, from: usize) -> usize {
        let comment = (from..self.chars.len()).find(|at| *at > 0 && self.at(*at) == '#' && self.at(*at - 1) == ' ');
        let mut end = comment.unwrap_or(self.chars.len());
        while end > from && self.at(end - 1).is_whitespace() {
            end -= 1;
        }
        end
    }

    /// Where a plain value inside brackets ends: brackets of its own are its own.
    fn flow_value_end(&self, start: usize) -> usize {
        let (mut depth, mut end) = (0_usize, start);
        loop {
            match self.at(end) {
                '\n' => break,
                '[' | '{' => depth += 1,
                ']' | '}' if depth == 0 => break,
                ']' | '}' => depth -= 1,
                ',' if depth == 0 => break,
                _ => {}
            }
            end += 1;
        }
        while end > start && self.at(end - 1) == ' ' {
            end -= 1;
        }
        end
    }

    /// The bracket that closes the one here, on the same line.
    fn closing(&self, open: usize) -> Option<usize> {
        let mut depth = 0_usize;
        for at in open..self.chars.len() {
            match self.at(at) {
                '[' | '{' => depth += 1,
                ']' | '}' => depth = depth.saturating_sub(1),
                _ => continue,
            }
            if depth == 0 {
                return Some(at);
            }
        }
        None
    }

    fn has_colon(&self, start: usize, end: usize) -> bool {
        (start..end).any(|at| self.at(at) == ':' && (at + 1 == end || self.at(at + 1) == ' '))
    }

    /// Walks over a text in quotes, to what follows it.
    fn quoted(&mut self, open: usize) -> usize {
        let quote = self.at(open);
        let (mut place, mut is_wrong) = (open + 1, false);
        while self.at(place) != '\n' && self.at(place) != quote {
            if quote == '"' && self.at(place) == '\\' {
                // YAML 1.2 section 5.7
                is_wrong |= !"0abt\tnvfre \"/\\N_LPxuU".contains(self.at(place + 1));
                place += 1;
            }
            place += 1;
        }
        if is_wrong {
            self.note(open, (place + 1).min(self.chars.len()), Why::Escape);
        }
        place + 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value with its quotes, and why, where the parser stopped at the `^` in front of a
    /// character.
    fn at(marked: &str) -> Option<(String, String)> {
        let column = marked.chars().position(|c| c == '^').unwrap() + 1;
        let line = marked.replacen('^', "", 1);
        let found = unquoted(&line, 7, column)?;
        assert_eq!(found.span.line, 7);
        Some((found.help.trim_start_matches("write ").to_owned(), found.message))
    }

    fn quoted_at(marked: &str) -> String {
        at(marked).unwrap_or_else(|| panic!("{marked}")).0
    }

    #[test]
    fn values_are_shown_with_their_quotes() {
        for (marked, value) in [
            ("    host: ^*.example.com", r#"`"*.example.com"`"#),
            ("  - match: { host: [example.com, ^*.example.com] }", r#"`"*.example.com"`"#),
            ("  - match: { host: ^* }", r#"`"*"`"#),
            ("  - [::]^:80", r#"`"[::]:80"`"#),
            ("listeners: [^[::]:80]", r#"`"[::]:80"`"#),
            ("listeners: [ \":1\", ^[::]:80 , :81 ] # both", r#"`"[::]:80"`"#),
            ("  - upstream: [::1]^:3000  # the service", r#"`"[::1]:3000"`"#),
            ("  - redirect: {scheme}^://example.com{path}", r#"`"{scheme}://example.com{path}"`"#),
            ("  - redirect: {to: {scheme}^://{host}{path}}", r#"`"{scheme}://{host}{path}"`"#),
            ("      body: Error^: x", r#"`"Error: x"`"#),
            ("  - respond: { status: 500, body: Error^: x }", r#"`"Error: x"`"#),
            ("  - match: { path: { regex: \\.[a-z]^{2}$ } }", r"`'\.[a-z]{2}$'`"),
            ("  - match: { path: { regex: ^[a-z]{2,3} } }", r#"`"[a-z]{2,3}"`"#),
            ("        regex: [a-z]+^/x", r#"`"[a-z]+/x"`"#),
            ("  - { upstream: $^{BACKEND} }", r#"`"${BACKEND}"`"#),
            ("    x: ^@y", r#"`"@y"`"#),
            ("    x: ^say \"a: b\": c", "`'say \"a: b\": c'`"),
            ("  - match: { path: { regex: \"^\\d+\" } }", r"`'\d+'`"),
            ("- -  a: ^%x", r#"`"%x"`"#),
        ] {
            assert_eq!(quoted_at(marked), value, "{marked}");
        }
    }

    #[test]
    fn the_reason_is_named() {
        assert_eq!(at("host: ^*.a").unwrap().1, "`*.a` needs quotes: YAML takes a `*` in front for an alias");
        assert_eq!(at("a: [^[::]:1]").unwrap().1, "`[::]:1` needs quotes: YAML takes a `[` in front for a list");
        assert_eq!(at("a: b^: c").unwrap().1, "`b: c` needs quotes: YAML takes `: ` for the end of a key");
    }

    #[test]
    fn slips_are_named() {
        for (line, help) in [
            ("listeners = [\":80\"];", "write `listeners: [\":80\"]`"),
            ("  - match:{ path: /a }", "write `match: { path: /a }`"),
            ("listeners: [\":80\"];", "leave it out"),
        ] {
            assert_eq!(slip(line, 1).unwrap().help, help);
        }
        for line in ["", "  ", "a: b", "- a", "# a = b", "a: {b: c}", "\"a\"=b"] {
            assert_eq!(slip(line, 1), None, "{line}");
        }
    }

    #[test]
    fn what_needs_no_quotes_is_left_alone() {
        for marked in [
            "^",
            "a: ^b",
            "a: [^b, c]",
            "a: { b: ^[c, d], e: \"*\" }",
            "a: { ^b: { c: d } }",
            "- ^a: b",
            "a: ^\"*.b: c\"",
            "a: ^'\\d'",
            "a: \"\\n^\"",
            "a: [1, 2^",
        ] {
            assert_eq!(at(marked), None, "{marked}");
        }
        // Elsewhere on the line is not here.
        assert_eq!(at("^a: [b, c, d, e, *.f]"), None);
    }
}
