//! Starting processes so that none outlives the fleet, not even a fleet that was killed.

use std::io;
use std::path::Path;
use std::process::Stdio;
use std::sync::{OnceLock, mpsc};
use std::thread;

use tokio::process::{Child, Command};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

/// Starts the processes of one fleet, all from one thread that lives as long as the fleet.
///
/// A child asks the kernel to be killed when its parent dies, and "parent" means the *thread* that
/// forked it. Tokio's own threads come and go (a blocking thread ends after 10 idle seconds), and
/// would take healthy environments with them.
#[derive(Debug)]
pub(crate) struct Spawner {
    requests: mpsc::Sender<Request>,
}

#[derive(Debug)]
struct Request {
    command: Command,
    reply: oneshot::Sender<io::Result<Child>>,
}

impl Spawner {
    /// Must be called inside a Tokio runtime: it is the one that waits for the children.
    pub(crate) fn new() -> io::Result<Self> {
        let (requests, received) = mpsc::channel::<Request>();
        let runtime = Handle::current();
        thread::Builder::new()
            .name("fleet-spawner".to_owned())
            .spawn(move || {
                let _context = runtime.enter();
                for mut request in received {
                    // A caller that is gone drops the child, and `kill_on_drop` ends it.
                    let _ = request.reply.send(request.command.spawn());
                }
            })?;
        Ok(Self { requests })
    }

    /// Starts a command made by [`command`].
    pub(crate) async fn spawn(&self, command: Command) -> io::Result<Child> {
        let (reply, child) = oneshot::channel();
        let ended = || io::Error::other("the thread that starts processes has ended");
        self.requests
            .send(Request { command, reply })
            .map_err(|_| ended())?;
        child.await.map_err(|_| ended())?
    }
}

/// A command for an executable: empty environment, piped output, its own process group (Ctrl-C in
/// a terminal reaches the fleet alone, which then ends its environments as Lambda would), and
/// killed with the fleet in every way that this machine offers.
pub(crate) fn command(executable: &Path) -> Command {
    let mut command = if setpriv_works() {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(executable);
        command
    } else {
        Command::new(executable)
    };
    command
        .env_clear()
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    command
}

/// Whether util-linux's `setpriv` is here: it sets the parent-death signal, then becomes the
/// executable under the same process id. Setting it ourselves would need `unsafe`. Without it
/// (macOS, busybox) a fleet that is killed with SIGKILL leaves its environments behind; every
/// other end still takes them along.
fn setpriv_works() -> bool {
    static WORKS: OnceLock<bool> = OnceLock::new();
    *WORKS.get_or_init(|| {
        std::process::Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--", "true"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
    })
}
