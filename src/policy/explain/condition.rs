//! One condition over one request: what Cedar says of it, which piece of it settles that, and what that piece reads.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;

use cedar_policy::pst::{BinaryOp, Expr, Var};
use cedar_policy::{Entities, EntityUid, EvalResult, EvaluationError, Expression, Request, eval_expression};

use super::{Outcome, Part, Place, Read, Seen};

/// Characters of a value, at most: enough to know it again.
const MAX_VALUE: usize = 200;

/// What the principal is in, beside its own paths.
const MEMBERSHIPS: &str = "groups and scopes";

/// One request, for expressions to be evaluated over.
pub(super) struct Scene<'a> {
    request: Request,
    entities: &'a Entities,
    memberships: &'a [EntityUid],
}

/// What is read at a path: the value, or only whether there is one.
type Paths = BTreeMap<String, bool>;

impl<'a> Scene<'a> {
    pub(super) fn new(request: Request, entities: &'a Entities, memberships: &'a [EntityUid]) -> Self {
        Self { request, entities, memberships }
    }

    /// What a constraint of the scope comes to, given as the expression `text`.
    pub(super) fn of_scope(&self, text: String) -> Part {
        let is_principal = text.starts_with("principal");
        let outcome = self.outcome(&text);
        let path = if is_principal { "principal" } else { "resource" };
        let values = self.read(&Paths::from([(path.to_owned(), true)]));
        Part { place: Place::Scope, text, outcome, values }
    }

    /// What `condition` comes to, by the smallest piece of it that settles that.
    pub(super) fn of_condition(&self, place: Place, condition: &Arc<Expr>) -> Part {
        let (piece, outcome) = self.settling(condition);
        Part { place, text: piece.to_string(), outcome, values: self.read(&paths(piece)) }
    }

    /// The first of the expressions joined by `&&` that is not true, if the whole is not; the first of those joined by
    /// `||` that is not false, if the whole is not; else the whole.
    fn settling<'e>(&self, expr: &'e Arc<Expr>) -> (&'e Arc<Expr>, Outcome) {
        let outcome = self.outcome(&expr.to_string());
        let Expr::BinaryOp { op, left, right } = &**expr else { return (expr, outcome) };
        // The value of an operand that leaves the answer to the next one; the whole having it as well, all of it counts.
        let passing = *op == BinaryOp::And;
        if !passing && *op != BinaryOp::Or {
            return (expr, outcome);
        }
        if outcome == Outcome::Is(passing) {
            return (expr, outcome);
        }
        let is_left = self.outcome(&left.to_string()) != Outcome::Is(passing);
        self.settling(if is_left { left } else { right })
    }

    fn outcome(&self, text: &str) -> Outcome {
        match self.evaluate(text) {
            Ok(EvalResult::Bool(truth)) => Outcome::Is(truth),
            Ok(other) => Outcome::Erred(format!("it is {other}")),
            Err(message) => Outcome::Erred(message),
        }
    }

    fn evaluate(&self, text: &str) -> Result<EvalResult, String> {
        let expression = Expression::from_str(text).map_err(|error| error.to_string())?;
        eval_expression(&self.request, self.entities, &expression).map_err(|error: EvaluationError| error.to_string())
    }

    /// What is at `paths`. Of the principal, what it is in too.
    fn read(&self, paths: &Paths) -> Vec<Read> {
        let mut values = Vec::new();
        for (path, is_used) in paths {
            let value = match self.evaluate(path) {
                Err(_) => Seen::Absent,
                Ok(_) if !is_used => Seen::Present,
                Ok(value) => Seen::Value(cut(&value.to_string())),
            };
            values.push(Read { path: path.clone(), value });
            if path == "principal" {
                let mut parents: Vec<String> = self.memberships.iter().map(ToString::to_string).collect();
                parents.sort_unstable();
                let value = Seen::Value(cut(&format!("[{}]", parents.join(", "))));
                values.push(Read { path: MEMBERSHIPS.to_owned(), value });
            }
        }
        values
    }
}

/// Everything that `expr` reads of the request.
fn paths(expr: &Expr) -> Paths {
    let join = |mut left: Paths, right: Paths| {
        for (path, is_used) in right {
            *left.entry(path).or_default() |= is_used;
        }
        left
    };
    let of = |expr: &Expr| {
        if is_path(expr) {
            return Some(Paths::from([(expr.to_string(), true)]));
        }
        let Expr::HasAttr { expr, attrs } = expr else { return None };
        let mut path = is_path(expr).then(|| Arc::clone(expr))?;
        for attr in attrs {
            path = Arc::new(Expr::GetAttr { expr: path, attr: attr.clone() });
        }
        Some(Paths::from([(path.to_string(), false)]))
    };
    expr.reduce(&of, &join, Paths::new())
}

/// Whether `expr` is a variable, or attributes of one.
fn is_path(expr: &Expr) -> bool {
    if let Expr::GetAttr { expr, .. } = expr {
        return is_path(expr);
    }
    matches!(expr, Expr::Var(Var::Principal | Var::Resource | Var::Context))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_VALUE) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "…",
        None => text.to_owned(),
    }
}
