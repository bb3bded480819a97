//! The server's process, from its start to its end.

use super::Error;
use super::account::Account;
use super::folder::{Folder, first_number};
use super::installation::Installation;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// Recovery after a crash is part of a start.
const STARTS_WITHIN: Duration = Duration::from_secs(120);
const STOPS_WITHIN: Duration = Duration::from_secs(60);
/// How long a drop waits before it resorts to SIGKILL. The server kills its own children after 5 s.
const DROPS_WITHIN: Duration = Duration::from_secs(8);
const POLL: Duration = Duration::from_millis(5);

/// How a server is asked to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// Ends every session, then writes everything down: what a maintenance restart does.
    Fast,
    /// Ends at once, as in a crash: the next start recovers from the log of changes.
    Immediate,
}

impl Stop {
    fn signal(self) -> Signal {
        match self {
            Self::Fast => Signal::SIGINT,
            Self::Immediate => Signal::SIGQUIT,
        }
    }
}

/// A running server. Dropping it ends it at once.
#[derive(Debug)]
pub(super) struct Server {
    child: Child,
    /// Keeps the thread that started the server, to which the kernel ties the server's life.
    _keeper: mpsc::Sender<()>,
}

impl Server {
    /// Starts the server on the folder's data and waits until it lets clients in.
    pub(super) async fn start(
        installation: &Installation,
        folder: &Folder,
        port: u16,
        account: &Account,
    ) -> Result<Self, Error> {
        let log_path = folder.log();
        let mut log = File::options()
            .create(true)
            .append(true)
            .open(&log_path)
            .map_err(Error::io("open", &log_path))?;
        let said_before = log
            .seek(SeekFrom::End(0))
            .map_err(Error::io("read", &log_path))?;
        let mut command = tied_to_this_process(account, installation, folder);
        command
            .arg("-D")
            .arg(folder.data())
            .arg("-p")
            .arg(port.to_string())
            .stdout(Stdio::null())
            .stderr(log);
        let mut server = spawn(command).map_err(Error::io("start", &installation.programs))?;

        let mark = folder.data().join("postmaster.pid");
        let deadline = Instant::now() + STARTS_WITHIN;
        while !server.lets_clients_in(&mark) {
            if server.has_ended()? {
                let said = since(&log_path, said_before)?;
                if said.contains("could not bind") {
                    return Err(Error::PortTaken(port));
                }
                return Err(Error::Program {
                    what: "the server's start".to_owned(),
                    output: said,
                });
            }
            if Instant::now() > deadline {
                return Err(Error::TooSlow {
                    what: "start",
                    seconds: STARTS_WITHIN.as_secs(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(server)
    }

    /// Ends the server and waits for it.
    pub(super) async fn stop(mut self, how: Stop) -> Result<(), Error> {
        self.signal(how.signal());
        let deadline = Instant::now() + STOPS_WITHIN;
        while !self.has_ended()? {
            if Instant::now() > deadline {
                return Err(Error::TooSlow {
                    what: "stop",
                    seconds: STOPS_WITHIN.as_secs(),
                });
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// The server's own word, as `pg_ctl` reads it: a connection attempt would leave lines in the
    /// log.
    fn lets_clients_in(&self, mark: &Path) -> bool {
        let ours = first_number(mark) == i32::try_from(self.child.id()).ok();
        ours && fs::read_to_string(mark)
            .is_ok_and(|text| text.lines().nth(7).is_some_and(|s| s.trim() == "ready"))
    }

    fn has_ended(&mut self) -> Result<bool, Error> {
        let ended = self.child.try_wait();
        Ok(ended
            .map_err(Error::io("wait for", Path::new("the server")))?
            .is_some())
    }

    fn signal(&self, signal: Signal) {
        if let Ok(pid) = i32::try_from(self.child.id()) {
            // It can only be gone already, and no other process has its number before it was waited for.
            let _ = signal::kill(Pid::from_raw(pid), signal);
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return;
        }
        self.signal(Stop::Immediate.signal());
        let deadline = Instant::now() + DROPS_WITHIN;
        while Instant::now() < deadline {
            if matches!(self.child.try_wait(), Ok(Some(_))) {
                return;
            }
            std::thread::sleep(POLL);
        }
        // Its children see that it is gone, and end by themselves.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The server's command, so that the kernel ends the server when this process is killed and cannot
/// do it itself.
///
/// That takes Linux and util-linux's `setpriv`. Elsewhere a server outlives a hard kill; the next
/// start on a kept folder names it.
fn tied_to_this_process(
    account: &Account,
    installation: &Installation,
    folder: &Folder,
) -> Command {
    let postgres = installation.programs.join("postgres");
    // Data that is kept deserves an orderly end.
    let signal = if folder.is_throwaway() { "QUIT" } else { "INT" };
    let tied = |program: &Path| {
        let mut command = account.command("setpriv");
        command.args(["--pdeathsig", signal]).arg(program);
        command
    };
    let works = tied(Path::new("true"))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if works {
        tied(&postgres)
    } else {
        account.command(postgres)
    }
}

/// Starts the process from a thread that lives as long as its server: the kernel sends the signal
/// of the tie when the *thread* that started the process ends, and a runtime's threads end with the
/// first test that made them.
fn spawn(mut command: Command) -> io::Result<Server> {
    // Ctrl-C in a terminal reaches every process of a group: the server has to outlive its clients.
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    let (keeper, kept) = mpsc::channel::<()>();
    let (started, start) = mpsc::channel();
    std::thread::Builder::new()
        .name("database".to_owned())
        .spawn(move || {
            // With no receiver there is nothing to serve: dropping an unreported server's handle is
            // then all there is.
            let _ = started.send(command.spawn());
            // An error is what it waits for: the server's owner is gone.
            let _ = kept.recv();
        })?;
    let child = start.recv().map_err(io::Error::other)??;
    Ok(Server {
        child,
        _keeper: keeper,
    })
}

fn since(log: &Path, offset: u64) -> Result<String, Error> {
    let mut said = String::new();
    let read = File::open(log).and_then(|mut file| {
        file.seek(SeekFrom::Start(offset))?;
        file.read_to_string(&mut said)
    });
    read.map_err(Error::io("read", log))?;
    Ok(said.trim().to_owned())
}
