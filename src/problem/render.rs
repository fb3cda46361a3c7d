//! Problems as text for people (as rustc draws them) and as JSON for programs.

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet, normalize_untrusted_str};
use serde::Serialize;

use super::{Problem, Severity, floor};

/// All problems as text, ordered by file and then by position, one empty line between two.
///
/// `color` writes ANSI colours; whether the output is a terminal is the caller's to know.
pub fn render(problems: &[Problem], color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let texts: Vec<String> = sorted(problems).into_iter().map(|problem| renderer.render(&[group(problem)])).collect();
    texts.join("\n\n")
}

/// One problem for `--format json`. Lines and columns count from 1, columns in characters; both are null when the
/// whole file is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemJson {
    /// The file, as the operator named it.
    pub file: String,
    /// The line.
    pub line: Option<usize>,
    /// The column.
    pub column: Option<usize>,
    /// `error` or `warning`.
    pub severity: &'static str,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub help: Option<String>,
}

impl ProblemJson {
    /// All problems, in the order of [`render`].
    pub fn list(problems: &[Problem]) -> Vec<Self> {
        sorted(problems).into_iter().map(Self::from).collect()
    }
}

impl From<&Problem> for ProblemJson {
    fn from(problem: &Problem) -> Self {
        let (line, column) = problem.position().unzip();
        Self {
            file: problem.source.name.to_string(),
            line,
            column,
            severity: match problem.severity {
                Severity::Warning => "warning",
                Severity::Error => "error",
            },
            message: problem.message.clone(),
            help: problem.help.clone(),
        }
    }
}

/// By file, then position; problems in one place keep the order in which they were found.
fn sorted(problems: &[Problem]) -> Vec<&Problem> {
    let mut sorted: Vec<&Problem> = problems.iter().collect();
    sorted.sort_by_key(|problem| (problem.source.name.clone(), problem.span.as_ref().map(|span| span.start)));
    sorted
}

fn group(problem: &Problem) -> Group<'_> {
    let level = match problem.severity {
        Severity::Warning => Level::WARNING,
        Severity::Error => Level::ERROR,
    };
    let title = level.primary_title(problem.message.as_str());
    let text = problem.source.text.as_ref();
    let group = match &problem.span {
        None => title.element(Origin::path(problem.source.name.as_ref())),
        Some(span) => {
            let start = floor(text, span.start);
            let marked = start..floor(text, span.end).max(start);
            let snippet = Snippet::source(text).path(problem.source.name.as_ref());
            title.element(snippet.annotation(AnnotationKind::Primary.span(marked)))
        }
    };
    match &problem.help {
        None => group,
        // A message element may carry styling, so what a file's author wrote is made harmless first.
        Some(help) => group.element(Level::HELP.message(normalize_untrusted_str(help))),
    }
}
