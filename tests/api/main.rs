//! Everything proven on the local fleet.
