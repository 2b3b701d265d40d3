//! Application variables, component variables and their `{{ name }}` templates.

use std::collections::BTreeMap;

use anyhow::{Context as _, bail, ensure};

use super::manifest::Variable;

/// The prefix of the environment variables that Spin takes application variables from.
const ENVIRONMENT_PREFIX: &str = "SPIN_VARIABLE_";

/// Picks the application variables out of an environment, as Spin does: `SPIN_VARIABLE_ACME_KEY` sets `acme_key`.
pub fn variables_from_environment(
    environment: impl IntoIterator<Item = (String, String)>,
) -> BTreeMap<String, String> {
    let named = environment.into_iter();
    named
        .filter_map(|(name, value)| {
            Some((name.strip_prefix(ENVIRONMENT_PREFIX)?.to_ascii_lowercase(), value))
        })
        .collect()
}

/// The application's variables with their values for this run.
pub(super) struct Variables(BTreeMap<String, String>);

impl Variables {
    /// Gives every variable of the manifest its value: the operator's, else the default.
    ///
    /// # Errors
    /// A name that Spin refuses; both or neither of `required` and `default`; a required one without a value.
    pub(super) fn resolve(
        declared: &BTreeMap<String, Variable>,
        given: &BTreeMap<String, String>,
    ) -> anyhow::Result<Self> {
        let mut values = BTreeMap::new();
        for (name, variable) in declared {
            valid_name(name).map_err(|why| anyhow::anyhow!("variables.{name}: {why}"))?;
            ensure!(
                variable.required != variable.default.is_some(),
                "variables.{name}: write either `required = true` or `default = \"…\"`"
            );
            let Some(value) = given.get(name).or(variable.default.as_ref()) else {
                bail!(
                    "variables.{name}: required and not set: set {ENVIRONMENT_PREFIX}{}",
                    name.to_ascii_uppercase()
                );
            };
            values.insert(name.clone(), value.clone());
        }
        Ok(Self(values))
    }

    /// Fills the `{{ name }}` of a template.
    ///
    /// # Errors
    /// A brace that is not closed, or a name that `[variables]` lacks.
    pub(super) fn fill(&self, template: &str) -> anyhow::Result<String> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((literal, tail)) = rest.split_once("{{") {
            let (name, after) = tail.split_once("}}").context("`{{` without `}}`")?;
            let name = name.trim();
            let value = self.0.get(name).with_context(|| format!("there is no {name:?} in [variables]"))?;
            filled.push_str(literal);
            filled.push_str(value);
            rest = after;
        }
        filled.push_str(rest);
        Ok(filled)
    }

    /// The values of one component's `variables` table, found at `path` in the manifest.
    pub(super) fn of_component(
        &self,
        path: &str,
        templates: &BTreeMap<String, String>,
    ) -> anyhow::Result<BTreeMap<String, String>> {
        let mut values = BTreeMap::new();
        for (name, template) in templates {
            valid_name(name).map_err(|why| anyhow::anyhow!("{path}.variables.{name}: {why}"))?;
            values.insert(
                name.clone(),
                self.fill(template).with_context(|| format!("{path}.variables.{name}"))?,
            );
        }
        Ok(values)
    }
}

/// Spin's rule for variable names.
pub(super) fn valid_name(name: &str) -> Result<(), String> {
    if name.is_empty() {
        return Err("must not be empty".to_owned());
    }
    if let Some(invalid) = name.chars().find(|c| !(c.is_ascii_lowercase() || c.is_ascii_digit() || *c == '_'))
    {
        return Err(format!(
            "invalid character {invalid:?}. Variable names may contain only lower-case letters, numbers, and underscores."
        ));
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err("must start with a lowercase ASCII letter".to_owned());
    }
    if name.ends_with('_') {
        return Err("must end with a lowercase ASCII letter or digit".to_owned());
    }
    if name.contains("__") {
        return Err("must not contain multiple consecutive underscores".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        Variables(BTreeMap::from([
            ("region".to_owned(), "eu".to_owned()),
            ("key".to_owned(), "k".to_owned()),
        ]))
    }

    #[test]
    fn templates_mix_text_and_names() {
        assert_eq!(
            variables().fill("https://{{region}}.example.com/{{ key }}").unwrap(),
            "https://eu.example.com/k"
        );
        assert_eq!(variables().fill("plain").unwrap(), "plain");
    }

    #[test]
    fn a_template_that_cannot_be_filled_says_why() {
        assert_eq!(
            variables().fill("{{ nope }}").unwrap_err().to_string(),
            "there is no \"nope\" in [variables]"
        );
        assert_eq!(variables().fill("{{ region").unwrap_err().to_string(), "`{{` without `}}`");
    }

    #[test]
    fn names_follow_spin() {
        assert!(valid_name("acme_key_2026").is_ok());
        for bad in ["", "Acme", "_a", "a_", "a__b", "1a", "a-b"] {
            assert!(valid_name(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_environment_sets_variables_by_prefix() {
        let environment = [("SPIN_VARIABLE_ACME_KEY", "1"), ("ACME_KEY", "2"), ("spin_variable_x", "3")];
        let picked =
            variables_from_environment(environment.map(|(name, value)| (name.to_owned(), value.to_owned())));
        assert_eq!(picked, BTreeMap::from([("acme_key".to_owned(), "1".to_owned())]));
    }
}
