//! A look at the whole server: its health, who holds its sessions, and what it grants.

pub mod activity;
pub mod health;
pub mod limits;
