//! The names that sessions show in `application_name`.

/// The longest `application_name`: PostgreSQL's NAMEDATALEN less one.
const NAME_BYTES: usize = 63;
/// Of which this many are left to the first part, so that the function's name stays readable.
const PREFIX_BYTES: usize = 20;

/// The names that a session shows, as transient and as retained one: every session can count them, and
/// an operator can see them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SessionNames {
    /// `headroom/transient/<function>/<version>`
    pub(crate) transient: String,
    /// `headroom/retained/<function>/<version>`
    pub(crate) retained: String,
}

impl SessionNames {
    /// The names of a function's sessions, at most 63 bytes long: PostgreSQL cuts what is longer, and
    /// with it the version. `prefix` replaces the first part, its slashes turned into hyphens,
    /// because the second part is found by counting them. A function's name that does not fit
    /// keeps its beginning, and a checksum that tells it from its neighbours. What is not printable
    /// ASCII becomes a question mark, as it does at a server before 16; a newer one makes four bytes of
    /// each such byte, which would push the rest out of the name.
    pub(crate) fn new(prefix: Option<&str>, function: &str, version: &str) -> Self {
        let printable = |text: &str| text.replace(|c| !matches!(c, ' '..='~'), "?");
        let prefix = printable(prefix.unwrap_or("headroom")).replace('/', "-");
        let (function, version) = (printable(function), printable(version));
        let prefix = cut(&prefix, PREFIX_BYTES);
        let version = cut(&version, PREFIX_BYTES);
        let left = NAME_BYTES - prefix.len() - "/transient/".len() - "/".len() - version.len();
        let function = if function.len() <= left {
            function
        } else {
            let checksum = crc32fast::hash(function.as_bytes()) & 0xffff;
            format!("{}~{checksum:04x}", cut(&function, left - "~0000".len()))
        };
        Self {
            transient: format!("{prefix}/transient/{function}/{version}"),
            retained: format!("{prefix}/retained/{function}/{version}"),
        }
    }
}

/// The beginning of an ASCII text, at most so many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    &text[..text.len().min(bytes)]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_say_lease_function_and_version() {
        let names = SessionNames::new(None, "doctors", "$LATEST");
        assert_eq!(names.transient, "headroom/transient/doctors/$LATEST");
        assert_eq!(names.retained, "headroom/retained/doctors/$LATEST");
        let names = SessionNames::new(Some("clinic/web"), "doctors", "7");
        assert_eq!(names.transient, "clinic-web/transient/doctors/7");
    }

    #[test]
    fn lambdas_longest_names_fit_and_stay_apart() {
        let name =
            |last: &str| SessionNames::new(None, &("f".repeat(63) + last), "1234567").transient;
        assert_eq!(name("a").len(), 63);
        assert_ne!(name("a"), name("b"));
        assert!(name("a").ends_with("/1234567"));
    }

    proptest! {
        #[test]
        fn no_name_is_too_long(prefix in any::<Option<String>>(), function in any::<String>(), version in any::<String>()) {
            let names = SessionNames::new(prefix.as_deref(), &function, &version);
            for (name, lease) in [(&names.transient, "transient"), (&names.retained, "retained")] {
                prop_assert!(name.len() <= 63 && name.bytes().all(|byte| (b' '..=b'~').contains(&byte)));
                prop_assert_eq!(name.split('/').nth(1), Some(lease));
            }
        }
    }
}
