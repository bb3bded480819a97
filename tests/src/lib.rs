//! Lambda on this machine, and everything that is proven on it.
