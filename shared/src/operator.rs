//! What an operator runs before and after a deployment; no function links it.

pub mod advice;
pub mod budget;
pub mod template;
