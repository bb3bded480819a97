//! A template's `Conditions`: true, false, or not known here.

use saphyr::Yaml;

use super::{Scope, Value, call, expression, lookup};

impl Scope<'_, '_> {
    /// Whether a condition holds.
    ///
    /// # Errors
    /// What it depends on, where that is not known here.
    pub(in crate::operator::template) fn condition(&self, name: &str) -> Result<bool, String> {
        match self.conditions.borrow().get(name) {
            Some(Some(answer)) => return answer.clone(),
            Some(None) => return Err(format!("the condition {name}, which asks for itself")),
            None => {}
        }
        self.conditions.borrow_mut().insert(name.to_owned(), None);
        let answer = match lookup(self.document, &["Conditions", name]) {
            Some(node) => self.holds(node),
            None => Err(format!("the condition {name}, which does not exist")),
        };
        self.conditions
            .borrow_mut()
            .insert(name.to_owned(), Some(answer.clone()));
        answer
    }

    fn holds(&self, node: &Yaml<'_>) -> Result<bool, String> {
        let unknown = || "a condition that is not understood".to_owned();
        let (function, argument) = call(node).ok_or_else(unknown)?;
        if function == "Condition" {
            return self.condition(argument.as_str().ok_or_else(unknown)?);
        }
        let arguments = argument.as_vec().ok_or_else(unknown)?;
        match (function, arguments.as_slice()) {
            ("Equals", [one, other]) => match (self.value(one), self.value(other)) {
                (Value::Text { text: one, .. }, Value::Text { text: other, .. }) => {
                    Ok(one == other)
                }
                (Value::Unknown(why), _) | (_, Value::Unknown(why)) => Err(why),
                _ => Err(unknown()),
            },
            ("Not", [one]) => Ok(!self.holds(one)?),
            ("And", some) => self.first_that_is(false, some),
            ("Or", some) => self.first_that_is(true, some),
            _ => Err(expression(function, argument)),
        }
    }

    /// `decisive` as soon as one of them is, whatever is not known about the others.
    fn first_that_is(&self, decisive: bool, nodes: &[Yaml<'_>]) -> Result<bool, String> {
        let mut answer = Ok(!decisive);
        for node in nodes {
            match self.holds(node) {
                Ok(holds) if holds == decisive => return Ok(decisive),
                Ok(_) => {}
                Err(why) => answer = Err(why),
            }
        }
        answer
    }
}
