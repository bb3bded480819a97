//! A screen of its own in the terminal, which gives it back as it was.

use std::io::{self, Stdout, Write};

use crossterm::{
    cursor, event, execute, queue,
    style::Print,
    terminal::{self, Clear, ClearType},
};
use event::{Event, EventStream, KeyCode, KeyEventKind, KeyModifiers};
use futures_util::StreamExt;

/// The terminal, until it is dropped.
pub(super) struct Screen {
    out: Stdout,
    events: EventStream,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let screen = Self {
            out: io::stdout(),
            events: EventStream::new(),
        };
        terminal::enable_raw_mode()?;
        // From here on, dropping it gives the terminal back.
        execute!(&screen.out, terminal::EnterAlternateScreen, cursor::Hide)?;
        Ok(screen)
    }

    /// Replaces what is shown by as much of a text as fits. Nothing flickers: lines are
    /// overwritten, and only what is left of them is cleared.
    pub(super) fn draw(&mut self, text: &str) -> io::Result<()> {
        let rows = match terminal::size()? {
            // A terminal that does not know.
            (_, 0) => 24,
            (_, rows) => rows,
        };
        queue!(
            self.out,
            terminal::BeginSynchronizedUpdate,
            cursor::MoveTo(0, 0)
        )?;
        let hint = "q ends";
        let text = text.lines().take(usize::from(rows.saturating_sub(2)));
        for line in text.chain(["", hint]) {
            queue!(
                self.out,
                Print(line),
                Clear(ClearType::UntilNewLine),
                cursor::MoveToNextLine(1)
            )?;
        }
        queue!(
            self.out,
            Clear(ClearType::FromCursorDown),
            terminal::EndSynchronizedUpdate
        )?;
        self.out.flush()
    }

    /// Waits until somebody wants it to end.
    pub(super) async fn quit(&mut self) -> io::Result<bool> {
        while let Some(event) = self.events.next().await {
            let Event::Key(key) = event? else {
                continue;
            };
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            let quits = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
                || control && key.code == KeyCode::Char('c');
            if quits && key.kind == KeyEventKind::Press {
                return Ok(true);
            }
        }
        // Nobody is left at the keyboard.
        Ok(true)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = execute!(self.out, cursor::Show, terminal::LeaveAlternateScreen);
        let _ = terminal::disable_raw_mode();
    }
}
