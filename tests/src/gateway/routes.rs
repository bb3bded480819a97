//! Which route a request takes.
//!
//! A full match comes first, then a greedy one, then `$default`; a method of its own before `ANY`.
//! Among several, the most literal from the left wins.
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-routes.html#http-api-develop-routes.evaluation>

use std::collections::BTreeMap;

use percent_encoding::percent_decode_str;
use shared::operator::template::Route;

/// The routes of an API, each with what it leads to.
pub(crate) struct Routes<T> {
    entries: Vec<Entry<T>>,
}

struct Entry<T> {
    route: Route,
    segments: Vec<Segment>,
    target: T,
}

enum Segment {
    Literal(String),
    Variable(String),
    /// The rest of the path, at least one character.
    Greedy(String),
}

/// Lower is better; compared from the left. The segments' kinds are in order of the path.
type Rank = (bool, Vec<u8>, bool);

/// Where a request goes.
pub(crate) struct Match<'a, T> {
    pub(crate) route_key: String,
    /// Percent-decoded.
    pub(crate) path_parameters: BTreeMap<String, String>,
    pub(crate) target: &'a T,
}

impl<T> Routes<T> {
    pub(crate) fn new(routes: impl IntoIterator<Item = (Route, T)>) -> Self {
        let entry = |(route, target)| Entry {
            segments: match &route {
                Route::Default => Vec::new(),
                Route::Path { path, .. } => path[1..].split('/').map(Segment::new).collect(),
            },
            route,
            target,
        };
        Self {
            entries: routes.into_iter().map(entry).collect(),
        }
    }

    /// The routes' keys, in the order they were given.
    pub(crate) fn keys(&self) -> Vec<String> {
        let keys = self.entries.iter().map(|entry| entry.route.key());
        keys.collect()
    }

    /// The best route for a request; the path as it was sent.
    pub(crate) fn find(&self, method: &str, raw_path: &str) -> Option<Match<'_, T>> {
        let (_, entry, path_parameters) = self
            .entries
            .iter()
            .filter_map(|entry| {
                let (rank, parameters) = entry.matches(method, raw_path)?;
                Some((rank, entry, parameters))
            })
            .min_by(|(one, ..), (other, ..)| one.cmp(other))
            .or_else(|| self.default())?;
        Some(Match {
            route_key: entry.route.key(),
            path_parameters,
            target: &entry.target,
        })
    }

    fn default(&self) -> Option<(Rank, &Entry<T>, BTreeMap<String, String>)> {
        let entry = self
            .entries
            .iter()
            .find(|entry| entry.route == Route::Default)?;
        Some((Rank::default(), entry, BTreeMap::new()))
    }
}

impl<T> Entry<T> {
    fn matches(&self, method: &str, raw_path: &str) -> Option<(Rank, BTreeMap<String, String>)> {
        let Route::Path { method: wanted, .. } = &self.route else {
            return None;
        };
        let any = wanted == "ANY";
        if !any && wanted != method {
            return None;
        }
        let mut rest = Some(raw_path.strip_prefix('/')?);
        let mut greedy = false;
        let mut kinds = Vec::new();
        let mut parameters = BTreeMap::new();
        for segment in &self.segments {
            let left = rest?;
            // Split before decoding: an encoded slash is part of a value, not of the path.
            let (first, after) = match left.split_once('/') {
                Some((first, after)) => (first, Some(after)),
                None => (left, None),
            };
            rest = after;
            match segment {
                Segment::Literal(text) if *text == decode(first) => kinds.push(0),
                Segment::Variable(name) if !first.is_empty() => {
                    parameters.insert(name.clone(), decode(first));
                    kinds.push(1);
                }
                Segment::Greedy(name) if !left.is_empty() => {
                    parameters.insert(name.clone(), decode(left));
                    kinds.push(2);
                    greedy = true;
                    rest = None;
                }
                Segment::Literal(_) | Segment::Variable(_) | Segment::Greedy(_) => return None,
            }
        }
        rest.is_none().then_some(((greedy, kinds, any), parameters))
    }
}

impl Segment {
    fn new(text: &str) -> Self {
        let name = text
            .strip_prefix('{')
            .and_then(|rest| rest.strip_suffix('}'));
        match name.map(|name| (name, name.strip_suffix('+'))) {
            Some((_, Some(name))) => Self::Greedy(name.to_owned()),
            Some((name, None)) => Self::Variable(name.to_owned()),
            None => Self::Literal(text.to_owned()),
        }
    }
}

/// Percent-decoded; what is not UTF-8 is replaced.
pub(crate) fn decode(text: &str) -> String {
    percent_decode_str(text).decode_utf8_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use shared::operator::template::Route;

    use super::Routes;

    fn routes() -> Routes<()> {
        let keys = [
            "GET /pets/dog/1",
            "GET /pets/dog/{id}",
            "GET /pets/{proxy+}",
            "ANY /{proxy+}",
            "ANY /pets/dog/{id}",
            "GET /",
        ];
        let route = |key: &str| {
            let (method, path) = key.split_once(' ').expect("a method and a path");
            let route = Route::Path {
                method: method.to_owned(),
                path: path.to_owned(),
            };
            (route, ())
        };
        Routes::new(keys.map(route))
    }

    fn find(method: &str, path: &str) -> Option<(String, Option<String>)> {
        let routes = routes();
        let found = routes.find(method, path)?;
        Some((found.route_key, found.path_parameters.into_values().next()))
    }

    #[test]
    fn the_documented_order_holds() {
        let value = |text: &str| Some(text.to_owned());
        let cases = [
            ("GET", "/pets/dog/1", "GET /pets/dog/1", None),
            ("GET", "/pets/dog/2", "GET /pets/dog/{id}", value("2")),
            ("GET", "/pets/cat/1", "GET /pets/{proxy+}", value("cat/1")),
            ("POST", "/test/5", "ANY /{proxy+}", value("test/5")),
            ("POST", "/pets/dog/1", "ANY /pets/dog/{id}", value("1")),
            ("GET", "/", "GET /", None),
        ];
        for (method, path, route, parameter) in cases {
            assert_eq!(
                find(method, path),
                Some((route.to_owned(), parameter)),
                "{method} {path}"
            );
        }
        assert_eq!(find("POST", "/"), None, "a greedy variable is not empty");
        assert_eq!(find("GET", "*"), None, "a request target without a path");
    }

    #[test]
    fn default_takes_what_nothing_else_does() {
        let routes = Routes::new([(Route::Default, ())]);
        let found = routes
            .find("PATCH", "//any%2F/thing")
            .expect("the default route");
        assert_eq!(found.route_key, "$default");
        assert!(found.path_parameters.is_empty());
    }

    #[test]
    fn segments_are_split_before_they_are_decoded() {
        let slash = find("GET", "/pets/dog/a%2Fb");
        assert_eq!(
            slash,
            Some(("GET /pets/dog/{id}".to_owned(), Some("a/b".to_owned())))
        );
        let encoded = find("GET", "/pets/d%6Fg/1");
        assert_eq!(encoded, Some(("GET /pets/dog/1".to_owned(), None)));
        let trailing = find("GET", "/pets/dog/");
        assert_eq!(
            trailing,
            Some(("GET /pets/{proxy+}".to_owned(), Some("dog/".to_owned())))
        );
    }
}
