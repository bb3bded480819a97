//! The Embedded Metric Format as its specification has it:
//! <https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html>

use serde_json::Value;

use crate::support::clinic::Clinic;

/// One line of metrics. Reading it holds it to the published schema, and to what the specification
/// says in words.
#[derive(Debug)]
pub(crate) struct Document(Value);

impl Document {
    /// The line, where it holds metrics at all.
    pub(crate) fn read(line: &str) -> Option<Self> {
        let value: Value = serde_json::from_str(line).ok()?;
        value.get("_aws")?;
        let schema = serde_json::from_str(include_str!("emf.schema.json")).unwrap();
        if let Err(error) = jsonschema::validate(&schema, &value) {
            panic!("{error}: {line}");
        }
        assert!(line.len() <= 256 * 1024);
        let document = Self(value);
        for directive in document.directives() {
            let metrics = directive["Metrics"].as_array().unwrap();
            assert!((1..=100).contains(&metrics.len()), "{line}");
            for metric in metrics {
                let target = &document.0[metric["Name"].as_str().unwrap()];
                // An array would do too, of at most 100 numbers; one line tells of one invocation.
                assert!(target.is_number(), "{metric}: {line}");
            }
            for set in directive["Dimensions"].as_array().unwrap() {
                for key in set.as_array().unwrap() {
                    let target = document.0[key.as_str().unwrap()].as_str();
                    assert!(
                        target.is_some_and(|value| !value.is_empty()),
                        "{key}: {line}"
                    );
                }
            }
        }
        Some(document)
    }

    fn directives(&self) -> &[Value] {
        self.0["_aws"]["CloudWatchMetrics"].as_array().unwrap()
    }

    /// A metric's value, where this document has it.
    pub(crate) fn metric(&self, name: &str) -> Option<f64> {
        let metrics = self.directives().iter();
        let mut metrics = metrics.flat_map(|directive| directive["Metrics"].as_array().unwrap());
        metrics.find(|metric| metric["Name"] == name)?;
        self.0[name].as_f64()
    }

    /// A member of the root.
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0[name].as_str()
    }

    /// The sets of dimensions.
    pub(crate) fn dimensions(&self) -> &Value {
        &self.directives()[0]["Dimensions"]
    }
}

/// The lines of metrics that a function wrote, the oldest first.
pub(crate) fn documents(clinic: &Clinic, function: &str) -> Vec<Document> {
    let lines = clinic.fleet.logs(function).into_iter();
    lines
        .filter_map(|line| Document::read(&line.text))
        .collect()
}
