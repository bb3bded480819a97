//! Which answers are compressed, for clients that ask for it.

use headers::{ETag, HeaderMapExt};
use lambda_http::http::{Extensions, HeaderMap, StatusCode, Version};
use tower_http::{
    CompressionLevel,
    compression::{
        Compression, Predicate,
        predicate::{And, SizeAbove},
    },
};

use crate::http::response::TagsAnother;

/// The smallest body that is compressed, in bytes. One that fits a packet arrives no sooner for being
/// smaller.
const SMALLEST: u16 = 1024;

/// What is asked about an answer, in a form that has a name.
type Question = fn(StatusCode, Version, &HeaderMap, &Extensions) -> bool;

/// The service, with its answers compressed where that is asked for and worth it.
pub(crate) fn compressed<S>(service: S) -> Compression<S, And<SizeAbove, Question>> {
    let has_one_form: Question = |_, _, headers, marks| !names_its_bytes(headers, marks);
    Compression::new(service)
        // The least work: it takes a list of 200 to 28 % of its size, and the usual level would make
        // that an eighth smaller for four times the time.
        .quality(CompressionLevel::Fastest)
        .compress_when(SizeAbove::new(SMALLEST).and(has_one_form))
}

/// Whether the answer carries a strong entity tag of its own. It names these very bytes (RFC 9110,
/// section 8.8.1), compressed ones would need another, and If-Match would then fail for a client that read
/// them. The tag of another thing, of which the answer tells more than it is, has no such bounds.
fn names_its_bytes(headers: &HeaderMap, marks: &Extensions) -> bool {
    let tag = headers.typed_get::<ETag>();
    tag.is_some_and(|tag| !tag.is_weak()) && marks.get::<TagsAnother>().is_none()
}
