//! What the tests share: a clinic that is open, requests and what is asked of their answers.

pub(crate) mod clinic;
pub(crate) mod desk;
pub(crate) mod polling;
pub(crate) mod probe;
pub(crate) mod requests;
pub(crate) mod seed;
