//! How far it is, for a user who waits.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;

/// Reports on stderr: a bar on a terminal, a line for every tenth elsewhere, where a bar would fill
/// a log.
pub fn on_stderr(what: &'static str) -> impl FnMut(u64, u64) {
    let bar = std::io::stderr().is_terminal().then(|| {
        let style = ProgressStyle::with_template("{msg} {bar:40} {percent} % (about {eta} left)")
            .expect("the template is well-formed");
        ProgressBar::no_length()
            .with_style(style)
            .with_message(what)
    });
    let mut tenths_told = 0;
    move |done, total| match &bar {
        Some(bar) => {
            bar.set_length(total);
            bar.set_position(done);
            if done == total {
                bar.finish();
            }
        }
        None => {
            let tenths = tenths(done, total);
            if tenths > tenths_told {
                eprintln!("{what}: {} %", tenths * 10);
                tenths_told = tenths;
            }
        }
    }
}

/// Whole tenths; nothing to do is everything done.
fn tenths(done: u64, total: u64) -> u64 {
    (done * 10).checked_div(total).unwrap_or(10)
}

#[cfg(test)]
mod tests {
    use super::tenths;

    #[test]
    fn a_tenth_counts_when_it_is_whole() {
        assert_eq!(tenths(0, 400_000), 0);
        assert_eq!(tenths(39_999, 400_000), 0);
        assert_eq!(tenths(40_000, 400_000), 1);
        assert_eq!(tenths(400_000, 400_000), 10);
        assert_eq!(tenths(0, 0), 10);
    }
}
