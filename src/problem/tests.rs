use proptest::prelude::*;

use super::*;

fn problem(name: &str, text: &str, span: Option<Range<usize>>) -> Problem {
    Problem {
        severity: Severity::Error,
        source: Source::new(name, text),
        span,
        message: "`a` is wrong".to_owned(),
        help: Some("write it right".to_owned()),
    }
}

#[test]
fn a_problem_is_drawn_with_its_line_and_carets() {
    let drawn = render(&[problem("t.yaml", "x: 1\na: ü wrong\n", Some(11..16))], false);
    let expected = "error: `a` is wrong
 --> t.yaml:2:6
  |
2 | a: ü wrong
  |      ^^^^^
  |
  = help: write it right";
    assert_eq!(drawn, expected);
}

#[test]
fn a_problem_of_the_whole_file_names_only_the_file() {
    let drawn = render(&[problem("t.yaml", "", None)], false);
    assert_eq!(drawn, "error: `a` is wrong\n--> t.yaml\n = help: write it right");
}

#[test]
fn colour_is_written_only_when_asked_for() {
    let problems = [problem("t.yaml", "a", Some(0..1))];
    assert!(!render(&problems, false).contains('\u{1b}'));
    assert!(render(&problems, true).contains('\u{1b}'));
}

#[test]
fn what_a_file_says_cannot_move_the_cursor() {
    let mut hostile = problem("t.yaml", "a: \u{1b}[2J", Some(3..7));
    hostile.message = "\u{1b}[2J".to_owned();
    hostile.help = Some("\u{1b}[2J".to_owned());
    assert!(!render(&[hostile], false).contains('\u{1b}'));
}

#[test]
fn problems_are_ordered_by_file_then_position() {
    let text = "a\nb\nc\n";
    let problems = [
        problem("b.yaml", text, Some(0..1)),
        problem("a.yaml", text, Some(4..5)),
        problem("a.yaml", text, Some(2..3)),
        problem("a.yaml", text, None),
    ];
    let order: Vec<_> = ProblemJson::list(&problems).into_iter().map(|json| (json.file, json.line)).collect();
    let expected = [("a.yaml", None), ("a.yaml", Some(2)), ("a.yaml", Some(3)), ("b.yaml", Some(1))];
    assert_eq!(order, expected.map(|(file, line)| (file.to_owned(), line)));
}

#[test]
fn json_has_every_field() {
    let json = serde_json::to_string(&ProblemJson::from(&problem("t.yaml", "ü: ü\nä: x", Some(11..12)))).unwrap();
    let expected =
        r#"{"file":"t.yaml","line":2,"column":4,"severity":"error","message":"`a` is wrong","help":"write it right"}"#;
    assert_eq!(json, expected);
}

proptest! {
    #[test]
    fn any_span_over_any_text_can_be_drawn(text in "[ -~äß€😀\t\r\n\u{feff}]{0,40}", start in 0usize..60, length in 0usize..60) {
        let problem = problem("t.yaml", &text, Some(start..start + length));
        prop_assert!(render(std::slice::from_ref(&problem), false).contains("`a` is wrong"));
        prop_assert!(problem.position().is_some());
    }
}
