//! A screen of its own in the terminal, which gives it back as it was.

use std::io::{self, Stdout, Write};

use anstream::{AutoStream, ColorChoice, adapter::strip_str};
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
    /// Whether colours are wanted: not where `NO_COLOR` is set.
    colours: bool,
    shown: String,
}

impl Screen {
    pub(super) fn open() -> io::Result<Self> {
        let out = io::stdout();
        let screen = Self {
            events: EventStream::new(),
            colours: AutoStream::choice(&out) != ColorChoice::Never,
            shown: String::new(),
            out,
        };
        terminal::enable_raw_mode()?;
        // From here on, dropping it gives the terminal back. Without wrapping, what is too wide ends
        // at the edge.
        execute!(
            &screen.out,
            terminal::EnterAlternateScreen,
            terminal::DisableLineWrap,
            cursor::Hide
        )?;
        Ok(screen)
    }

    /// Replaces what is shown by as much of a text as fits.
    pub(super) fn draw(&mut self, text: &str) -> io::Result<()> {
        self.shown = if self.colours {
            text.to_owned()
        } else {
            strip_str(text).to_string()
        };
        self.redraw()
    }

    /// Line by line, and all at once where the terminal knows how, so that nothing flickers.
    fn redraw(&mut self) -> io::Result<()> {
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
        let lines = self.shown.lines();
        let lines = lines.take(usize::from(rows.saturating_sub(2)));
        for line in lines.chain(["", "q ends"]) {
            queue!(
                self.out,
                Clear(ClearType::UntilNewLine),
                Print(line),
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

    /// Waits until the operator wants it to end, and follows the terminal's size meanwhile.
    pub(super) async fn quit(&mut self) -> io::Result<()> {
        while let Some(event) = self.events.next().await {
            let key = match event? {
                Event::Resize(..) => {
                    self.redraw()?;
                    continue;
                }
                Event::Key(key) => key,
                _ => continue,
            };
            let control = key.modifiers.contains(KeyModifiers::CONTROL);
            let quits = matches!(key.code, KeyCode::Char('q') | KeyCode::Esc)
                || control && key.code == KeyCode::Char('c');
            if quits && key.kind == KeyEventKind::Press {
                return Ok(());
            }
        }
        // The keyboard is gone.
        Ok(())
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        // A terminal that is gone needs nothing back.
        let _ = execute!(
            self.out,
            cursor::Show,
            terminal::EnableLineWrap,
            terminal::LeaveAlternateScreen
        );
        let _ = terminal::disable_raw_mode();
    }
}
