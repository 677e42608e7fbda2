//! What the output can show: colours, a width for bars, or plain text.

use std::fmt;
use std::io::IsTerminal as _;

use anstyle::{AnsiColor, Style};

/// The width that is used if the terminal's is unknown.
const USUAL_WIDTH: usize = 100;
/// Below this width, the bars leave no room for the text.
const NARROWEST: usize = 60;

/// How much the console prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConsoleForm {
    Whole,
    /// One line for each item.
    Lines,
}

impl ConsoleForm {
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Whole => "on",
            Self::Lines => "lines",
        }
    }
}

/// How the console prints.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Look {
    pub(super) has_colors: bool,
    /// Of the terminal, in characters. None for a file or a pipe, which get plain lines.
    pub(super) width: Option<usize>,
    /// One line for each transaction and each event.
    pub(super) is_brief: bool,
}

/// What a text means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tone {
    Usual,
    /// Of less interest.
    Quiet,
    Strong,
    Failed,
    Slow,
    /// The time that a span took.
    Time,
}

impl Look {
    /// What standard output is now.
    ///
    /// Colours follow <https://no-color.org> and <https://bixense.com/clicolors/>.
    pub(super) fn of_stdout(form: ConsoleForm) -> Self {
        let is_brief = form == ConsoleForm::Lines;
        let is_terminal = std::io::stdout().is_terminal();
        let is_forced = anstyle_query::clicolor_force() && std::env::var_os("CLICOLOR_FORCE").is_none_or(|value| value != "0");
        let may = is_terminal && anstyle_query::term_supports_ansi_color();
        let has_colors = has_colors(anstyle_query::no_color(), is_forced, anstyle_query::clicolor(), may);
        Self { has_colors, width: is_terminal.then(width).filter(|width| *width >= NARROWEST), is_brief }
    }

    pub(super) fn paint<T: fmt::Display>(self, tone: Tone, text: T) -> Painted<T> {
        Painted { style: self.has_colors.then(|| tone.style()), text }
    }
}

/// `NO_COLOR` wins over `CLICOLOR_FORCE`, and that over `CLICOLOR` and over what the output is.
fn has_colors(no_color: bool, is_forced: bool, clicolor: Option<bool>, is_terminal: bool) -> bool {
    !no_color && (is_forced || is_terminal && clicolor != Some(false))
}

/// The width of the terminal in characters.
fn width() -> usize {
    #[cfg(unix)]
    let known = rustix::termios::tcgetwinsize(std::io::stdout()).ok().map(|size| usize::from(size.ws_col));
    #[cfg(not(unix))]
    let known = None;
    known.filter(|width| *width > 0).unwrap_or(USUAL_WIDTH)
}

impl Tone {
    const fn style(self) -> Style {
        match self {
            Self::Usual => Style::new(),
            Self::Quiet => Style::new().dimmed(),
            Self::Strong => Style::new().bold(),
            Self::Failed => AnsiColor::Red.on_default(),
            Self::Slow => AnsiColor::Yellow.on_default(),
            Self::Time => AnsiColor::Cyan.on_default(),
        }
    }
}

/// A text, with the codes of its style around it if there are colours.
pub(super) struct Painted<T> {
    style: Option<Style>,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.style {
            Some(style) => write!(f, "{style}{}{style:#}", self.text),
            None => self.text.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_where_the_conventions_have_them() {
        // `NO_COLOR`, `CLICOLOR_FORCE`, `CLICOLOR`, a terminal that knows colours.
        let rows = [
            ((false, false, None, true), true),
            ((false, false, None, false), false),
            ((false, false, Some(true), true), true),
            ((false, false, Some(false), true), false),
            ((false, true, None, false), true),
            ((false, true, Some(false), false), true),
            ((true, true, Some(true), true), false),
            ((true, false, None, true), false),
        ];

        for ((no_color, is_forced, clicolor, is_terminal), expected) in rows {
            assert_eq!(
                has_colors(no_color, is_forced, clicolor, is_terminal),
                expected,
                "{no_color} {is_forced} {clicolor:?} {is_terminal}"
            );
        }
    }
}
