//! A folder in memory, for data that is not kept.
//!
//! Each server writes more than a thousand files and removes them soon after. A disk's file system
//! may make that slow: ext4 hands out no inode again for minutes after a removal, and looks at each
//! of them for every new file, so that a test run gets slower with every server.

use super::account::Account;
use nix::sys::statvfs::statvfs;
use std::path::{Path, PathBuf};

/// Linux keeps shared memory here, and lets every user use it for files.
const SHARED_MEMORY: &str = "/dev/shm";

/// Containers often have 64 MB there, less than one server with data needs; a test run has several.
const NEEDED_BYTES: u64 = 2 << 30;

/// The folder, `None` where the system has none or too little room in it.
pub(super) fn folder(account: &Account) -> Option<PathBuf> {
    let space = statvfs(Path::new(SHARED_MEMORY)).ok()?;
    let free = space.blocks_available() as u64 * space.fragment_size() as u64;
    if free < NEEDED_BYTES {
        return None;
    }
    // A user's own: what is in it is removed by the process that finds it abandoned.
    let folder = Path::new(SHARED_MEMORY).join(format!("headroom-u{}", account.uid()));
    account.claim(&folder).ok()?;
    Some(folder)
}
