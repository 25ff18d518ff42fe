//! The declarations: [`section!`] for a map and its keys, [`words!`] for a choice of words.

/// Declares a section: the struct, and everything that is done with its keys.
///
/// ```text
/// section! {
///     /// What the section is for.
///     #[derive(Clone, Debug)]
///     "`bucket`" pub struct Bucket {
///         /// The meaning, with unit and bounds: rustdoc, the schema and the reference have it.
///         depth: u32 = 0, in 0..=1_000_000;
///         refill: Duration = "5s";
///     }
/// }
/// ```
///
/// A key is `name: Type`, or `name as "key": Type` where the field is called otherwise, then
/// - `= DEFAULT`, a JSON value that is read like one of the file. Without it the key may be
///   absent and is then `Type::default()`; with `, required EXAMPLE` it may not.
/// - `, in A..=B` for a number, or `, with FORM`. Without it the type's own [`Value::form`].
///
/// After the keys may stand, in this order:
/// - `first { field: Type }` and `last { field: Type }`: keys that another section declares
///   and that are read together into one value, before and after the others.
/// - `derived { field: Type }`: fields that no key sets, `Type::default()` until `check` does.
/// - `one_of "noun" { a, b }`: exactly one of the keys is there; `or "hint"` before the brace
///   says what else to do than to remove the other.
/// - `together { a, b }`: none of the keys stands without the others.
/// - `later { a, b }`: keys of the contract that are refused as not supported yet.
/// - `no_effect FUNCTION;`: `fn(&Self, key: &str) -> Option<Invalid>`, why a key has no effect
///   beside the others: such a key is refused where it is written, and not printed.
/// - `check FUNCTION;`: `fn(&mut Self, &mut Reader, &Fields)`, for whatever else concerns
///   several keys.
///
/// [`Value::form`]: super::Value::form
macro_rules! section {
    (
        $(#[doc = $about:literal])*
        $(#[derive($($derive:ident),*)])?
        $title:literal $vis:vis struct $name:ident {
            $(
                $(#[doc = $doc:literal])*
                $field:ident $(as $key:literal)?: $type:ty
                    $(= $default:tt)? $(, required $example:literal)? $(, in $range:expr)? $(, with $form:expr)?;
            )*
        }
        $(first { $first:ident: $first_type:ty })?
        $(last { $last:ident: $last_type:ty })?
        $(derived { $($(#[doc = $derived_doc:literal])* $derived:ident: $derived_type:ty),* $(,)? })?
        $(one_of $noun:literal $(or $hint:literal)? { $($one:ident),* })?
        $(together { $($pair:ident),* })?
        $(later { $($later:ident),* $(,)? })?
        $(no_effect $no_effect:path;)?
        $(check $check:path;)?
    ) => {
        $(#[doc = $about])*
        $(#[derive($($derive),*)])?
        $vis struct $name {
            $(pub $first: $first_type,)?
            $(
                $(#[doc = $doc])*
                pub $field: $type,
            )*
            $(pub $last: $last_type,)?
            $($($(#[doc = $derived_doc])* pub $derived: $derived_type,)*)?
        }

        impl $name {
            /// Its own keys, without those of other sections.
            const KEYS: &'static [&'static str] = &[$($crate::config::section::section!(@name $field $($key)?)),*];
        }

        impl $crate::config::section::Section for $name {
            const TITLE: &'static str = $title;

            fn known(name: &str) -> Option<$crate::config::section::Delivery> {
                use $crate::config::section::Delivery;
                let later: &[&str] = &[$($(stringify!($later)),*)?];
                let own = if Self::KEYS.contains(&name) { Some(Delivery::Done) } else { None };
                own.or_else(|| later.contains(&name).then_some(Delivery::Later))
                    $(.or_else(|| <$first_type as $crate::config::section::Section>::known(name)))?
                    $(.or_else(|| <$last_type as $crate::config::section::Section>::known(name)))?
            }

            fn keys() -> &'static [$crate::config::section::Key] {
                use $crate::config::section::{Key, IfAbsent};
                static KEYS: std::sync::LazyLock<Vec<Key>> = std::sync::LazyLock::new(|| [
                    $(<$first_type as $crate::config::section::Section>::keys().to_vec(),)?
                    vec![$(Key {
                        name: $crate::config::section::section!(@name $field $($key)?),
                        doc: [$($doc),*].map(str::trim).join(" "),
                        shape: $crate::config::section::Form::<$type>::shape(
                            &$crate::config::section::section!(@form $type $(, in $range)? $(, with $form)?),
                        ),
                        if_absent: $crate::config::section::section!(
                            @if_absent $($default)? $(, required $example)?
                        ),
                    }),*],
                    $(<$last_type as $crate::config::section::Section>::keys().to_vec(),)?
                    $(vec![$(Key {
                        name: stringify!($later),
                        doc: String::new(),
                        shape: $crate::config::section::Shape::Null,
                        if_absent: IfAbsent::Later,
                    }),*],)?
                ]
                .concat());
                &KEYS
            }

            fn rules() -> Vec<$crate::config::section::Rule> {
                [
                    $(<$first_type as $crate::config::section::Section>::rules(),)?
                    $(<$last_type as $crate::config::section::Section>::rules(),)?
                    vec![
                        $($crate::config::section::section!(@one_of $noun $($hint)?, $($one),*),)?
                        $($crate::config::section::Rule::Together(&[$(stringify!($pair)),*]),)?
                    ],
                ]
                .concat()
            }

            fn read(
                reader: &mut $crate::config::section::Reader<'_>,
                fields: &$crate::config::section::Fields<'_>,
            ) -> Option<Self> {
                use $crate::config::section::Form as _;
                $(let $first = <$first_type as $crate::config::section::Section>::read(reader, fields);)?
                $(let $field: Option<$type> = {
                    let name = $crate::config::section::section!(@name $field $($key)?);
                    let form = $crate::config::section::section!(@form $type $(, in $range)? $(, with $form)?);
                    match fields.get(name) {
                        Some(node) => reader.inside(|reader| form.read(reader, node)),
                        None => None,
                    }
                    .or_else(|| $crate::config::section::section!(
                        @absent reader fields name form $(= $default)? $(, required $example)?
                    ))
                };)*
                $(let $last = <$last_type as $crate::config::section::Section>::read(reader, fields);)?
                $(
                    let together = $crate::config::section::Rule::Together(&[$(stringify!($pair)),*]);
                    if !fields.keep(reader, together) {
                        return None;
                    }
                )?
                $(
                    let one = $crate::config::section::section!(@one_of $noun $($hint)?, $($one),*);
                    if !fields.keep(reader, one) {
                        return None;
                    }
                )?
                #[allow(unused_mut)]
                let mut section = Self {
                    $($first: $first?,)?
                    $($field: $field?,)*
                    $($last: $last?,)?
                    $($($derived: <$derived_type>::default(),)*)?
                };
                $(
                    for name in Self::KEYS {
                        fields.refuse_no_effect(reader, name, $no_effect(&section, name));
                    }
                )?
                $($check(&mut section, reader, fields);)?
                Some(section)
            }

            fn print(&self) -> Vec<(&'static str, $crate::config::yaml::Yaml)> {
                use $crate::config::section::Form as _;
                let mut printed = Vec::new();
                $(printed.extend($crate::config::section::Section::print(&self.$first));)?
                $({
                    let name = $crate::config::section::section!(@name $field $($key)?);
                    let form = $crate::config::section::section!(@form $type $(, in $range)? $(, with $form)?);
                    printed.push((name, form.print(&self.$field)));
                })*
                $(printed.retain(|(name, _)| $no_effect(self, name).is_none());)?
                $(printed.extend($crate::config::section::Section::print(&self.$last));)?
                printed
            }
        }

        impl $crate::config::section::Value for $name {
            fn form() -> impl $crate::config::section::Form<Self> {
                $crate::config::section::AsSection
            }
        }
    };

    (@name $field:ident) => { stringify!($field) };
    (@name $field:ident $key:literal) => { $key };

    (@form $type:ty) => { <$type as $crate::config::section::Value>::form() };
    (@form $type:ty, in $range:expr) => { $crate::config::section::number($range) };
    (@form $type:ty, with $form:expr) => { $form };

    (@one_of $noun:literal, $($one:ident),*) => {
        $crate::config::section::section!(@one_of $noun "remove the other", $($one),*)
    };
    (@one_of $noun:literal $hint:literal, $($one:ident),*) => {
        $crate::config::section::Rule::OneOf { noun: $noun, keys: &[$(stringify!($one)),*], hint: $hint }
    };

    (@if_absent) => { IfAbsent::Optional };
    (@if_absent $default:tt) => { IfAbsent::Default(serde_json::json!($default)) };
    (@if_absent , required $example:literal) => { IfAbsent::Required };

    (@absent $reader:ident $fields:ident $name:ident $form:ident) => {
        Some(Default::default())
    };
    (@absent $reader:ident $fields:ident $name:ident $form:ident = $default:tt) => {
        $form.read($reader, &$crate::config::yaml::Node::of_default(&serde_json::json!($default)))
    };
    (@absent $reader:ident $fields:ident $name:ident $form:ident, required $example:literal) => {{
        if !$fields.has($name) {
            $fields.missing($reader, $name, $example);
        }
        None
    }};
}

/// Declares a choice: the enum, and the word and meaning of each value.
macro_rules! words {
    (
        $(#[doc = $about:literal])*
        $vis:vis enum $name:ident {
            $($(#[doc = $doc:literal])* $variant:ident = $word:literal),* $(,)?
        }
    ) => {
        $(#[doc = $about])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $vis enum $name {
            $($(#[doc = $doc])* $variant),*
        }

        impl $crate::config::section::Value for $name {
            fn form() -> impl $crate::config::section::Form<Self> {
                $crate::config::section::Words([
                    $(($name::$variant, $crate::config::section::Word {
                        word: $word,
                        doc: $crate::config::section::words!(@doc $($doc)*),
                    })),*
                ])
            }
        }
    };

    (@doc) => { "" };
    (@doc $doc:literal) => { $doc.trim_ascii_start() };
}

pub(in crate::config) use {section, words};
