//! Pages: how many rows, whether there are more, and where to go on.
//!
//! Rows continue behind the last one shown (a keyset), never by counting from the start: a row
//! inserted meanwhile moves nothing, and no page has to count the ones before it.

use std::{fmt, marker::PhantomData};

use base64::{Engine, prelude::BASE64_URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{DeserializeOwned, Error as _, Visitor},
    ser::Error as _,
};

/// How many rows a page may have: 1 to `MAX`, which is also the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit<const MAX: u16>(u16);

impl<const MAX: u16> PageLimit<MAX> {
    /// How many rows to read: one more than are shown tells whether there are more.
    pub fn rows(self) -> i64 {
        i64::from(self.0) + 1
    }
}

impl<const MAX: u16> Default for PageLimit<MAX> {
    fn default() -> Self {
        Self(MAX)
    }
}

impl<'de, const MAX: u16> Deserialize<'de> for PageLimit<MAX> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        match text.parse() {
            Ok(limit @ 1..) if limit <= MAX => Ok(Self(limit)),
            _ => Err(D::Error::custom(format_args!(
                "limit must be a whole number from 1 to {MAX}"
            ))),
        }
    }
}

/// Where a page ended: what its query orders by.
pub trait Position: Serialize + DeserializeOwned {
    /// The list that the position belongs to. A cursor of another list does not pass.
    const LIST: &'static str;
}

/// A position as the client carries it: opaque, and guarded by a checksum, so that a garbled one
/// or one of another list is refused instead of leading somewhere else. It is no permission, hence
/// no signature: a client that makes one up reads on in a list that it may read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor<P>(pub P);

impl<P: Position> Cursor<P> {
    fn checksum(json: &[u8]) -> [u8; 4] {
        let mut hasher = crc32fast::Hasher::new();
        hasher.update(P::LIST.as_bytes());
        hasher.update(json);
        hasher.finalize().to_be_bytes()
    }

    fn decode(text: &str) -> Option<P> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        let (checksum, json) = bytes.split_first_chunk::<4>()?;
        if *checksum != Self::checksum(json) {
            return None;
        }
        serde_json::from_slice(json).ok()
    }
}

impl<P: Position> Serialize for Cursor<P> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let json = serde_json::to_vec(&self.0).map_err(S::Error::custom)?;
        let mut bytes = Self::checksum(&json).to_vec();
        bytes.extend(json);
        serializer.serialize_str(&BASE64_URL_SAFE_NO_PAD.encode(bytes))
    }
}

impl<'de, P: Position> Deserialize<'de> for Cursor<P> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text<P>(PhantomData<P>);

        impl<P: Position> Visitor<'_> for Text<P> {
            type Value = Cursor<P>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the nextCursor of a page")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                Cursor::decode(text).map(Cursor).ok_or_else(|| {
                    E::custom(
                        "cursor must be the nextCursor of a page of this very list, unchanged",
                    )
                })
            }
        }

        deserializer.deserialize_str(Text(PhantomData))
    }
}

#[cfg(feature = "contract")]
impl<P> schemars::JsonSchema for Cursor<P> {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Cursor".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({ "type": "string", "pattern": "^[A-Za-z0-9_-]*$" })
    }
}

/// One page of a list.
///
/// ```
/// use serde::{Deserialize, Serialize};
/// use shared::http::page::{Cursor, Page, PageLimit, Position};
///
/// #[derive(Debug, PartialEq, Deserialize, Serialize)]
/// struct Name(String);
///
/// impl Position for Name {
///     const LIST: &'static str = "doctors";
/// }
///
/// // What the client sent as `limit=2`.
/// let limit: PageLimit<200> = serde_json::from_str("\"2\"")?;
/// // The query reads one row more than the page shows.
/// assert_eq!(limit.rows(), 3);
/// let rows = ["Adams", "Baker", "Clark"].map(str::to_owned).to_vec();
/// let page = Page::new(rows, limit, |name| Name(name.clone()));
/// assert_eq!(page.data, ["Adams", "Baker"]);
/// assert_eq!(page.page.next_cursor, Some(Cursor(Name("Baker".to_owned()))));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(inline, bound = "T: schemars::JsonSchema")
)]
#[serde(bound(serialize = "T: Serialize, P: Position"))]
pub struct Page<T, P> {
    /// The rows, in the list's order.
    pub data: Vec<T>,
    /// Whether the list continues, and from which cursor.
    pub page: PageInfo<P>,
}

/// Whether and where a list goes on.
#[derive(Clone, Debug, Serialize)]
#[cfg_attr(
    feature = "contract",
    derive(schemars::JsonSchema),
    schemars(inline, bound = "")
)]
#[serde(rename_all = "camelCase", bound(serialize = "P: Position"))]
pub struct PageInfo<P> {
    /// The most rows that this page could have had.
    pub limit: u16,
    /// Whether there are rows behind this page.
    pub has_more: bool,
    /// The cursor of the next page.
    pub next_cursor: Option<Cursor<P>>,
}

impl<T, P> Page<T, P> {
    /// A page of rows that were read with [`PageLimit::rows`]; `position` tells where a row
    /// stands.
    pub fn new<const MAX: u16>(
        mut rows: Vec<T>,
        limit: PageLimit<MAX>,
        position: impl Fn(&T) -> P,
    ) -> Self {
        let has_more = rows.len() > usize::from(limit.0);
        rows.truncate(limit.0.into());
        let last = rows.last().filter(|_| has_more);
        Self {
            page: PageInfo {
                limit: limit.0,
                has_more,
                next_cursor: last.map(|row| Cursor(position(row))),
            },
            data: rows,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Name(String);

    impl Position for Name {
        const LIST: &'static str = "names";
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Other(String);

    impl Position for Other {
        const LIST: &'static str = "others";
    }

    fn text(name: &str) -> String {
        let json = serde_json::to_value(Cursor(Name(name.to_owned()))).unwrap();
        json.as_str().unwrap().to_owned()
    }

    #[test]
    fn a_page_shows_its_limit_and_goes_on_behind_its_last_row() {
        let limit = serde_json::from_str::<PageLimit<3>>("\"2\"").unwrap();
        assert_eq!(limit.rows(), 3);
        let rows = ["a", "b", "c"].map(str::to_owned).to_vec();
        let page = Page::new(rows, limit, |row| Name(row.clone()));
        assert_eq!(page.data, ["a", "b"]);
        assert!(page.page.has_more);
        assert_eq!(page.page.next_cursor, Some(Cursor(Name("b".to_owned()))));

        let last = Page::new(vec!["c".to_owned()], limit, |row| Name(row.clone()));
        assert!(!last.page.has_more && last.page.next_cursor.is_none());
    }

    #[test]
    fn limits_out_of_bounds_are_refused() {
        for text in ["0", "201", "abc", "-1", "", "1.5", "99999"] {
            let error = serde_json::from_value::<PageLimit<200>>(text.into()).unwrap_err();
            assert!(
                error.to_string().contains("from 1 to 200"),
                "{text}: {error}"
            );
        }
        assert_eq!(PageLimit::<200>::default().rows(), 201);
    }

    #[test]
    fn a_cursor_of_another_list_does_not_pass() {
        assert_eq!(Cursor::<Other>::decode(&text("a")), None);
        assert_eq!(
            Cursor::<Name>::decode(&text("a")),
            Some(Name("a".to_owned()))
        );
    }

    proptest! {
        #[test]
        fn cursors_come_back_as_they_went(name in any::<String>()) {
            prop_assert_eq!(Cursor::<Name>::decode(&text(&name)), Some(Name(name)));
        }

        #[test]
        fn a_garbled_cursor_does_not_pass(name in "[a-z]{1,20}", at in any::<prop::sample::Index>(), with in "[A-Za-z0-9_=.-]") {
            let good = text(&name);
            let at = at.index(good.len());
            let garbled = format!("{}{with}{}", &good[..at], &good[at + 1..]);
            prop_assume!(garbled != good);
            prop_assert_eq!(Cursor::<Name>::decode(&garbled), None);
        }

        #[test]
        fn arbitrary_text_is_no_cursor(text in any::<String>()) {
            prop_assert_eq!(Cursor::<Name>::decode(&text), None);
        }
    }
}
