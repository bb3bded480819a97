//! What every function of Headroom links.
