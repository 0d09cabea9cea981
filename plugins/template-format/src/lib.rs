//! Lists from a Jinja template, one line per image. The crate `minijinja` renders them.

use std::collections::BTreeMap;

use bootc_image_plugin_sdk::config::{self, Settings};
use bootc_image_plugin_sdk::format::{Format, List, Row};
use bootc_image_plugin_sdk::{Problem, export_format, export_settings};
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value};
use serde::Deserialize;

pub struct Template {
    environment: Environment<'static>,
    columns: Vec<String>,
}

/// The plugin's settings.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Setting {
    /// The template if the user gives none.
    template: Option<String>,
}

/// The name of the only template in the environment.
const NAME: &str = "template";

impl Template {
    fn new(text: &str, columns: Vec<String>) -> Result<Self, Problem> {
        let mut environment = Environment::new();
        // Unknown values are none, so an undefined variable is a typing error.
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_filter("filesizeformat", file_size);
        environment.set_formatter(|out, state, value| {
            if value.is_none() { Ok(()) } else { minijinja::escape_formatter(out, state, value) }
        });
        environment.add_template_owned(NAME, text.to_owned()).map_err(|error| unusable(&error))?;
        let template = environment.get_template(NAME).map_err(|error| unusable(&error))?;
        let mut unknown: Vec<String> = template.undeclared_variables(false).into_iter().collect();
        unknown.retain(|name| {
            !columns.contains(name) && environment.globals().all(|(global, _)| global != name)
        });
        unknown.sort();
        if let Some(name) = unknown.first() {
            return Err(Problem {
                code: "unknown-variable".to_owned(),
                message: format!("the template uses the unknown variable {name:?}"),
                hint: Some(format!("known variables: {}", columns.join(", "))),
                attrs: Vec::new(),
            });
        }
        Ok(Self { environment, columns })
    }

    fn line(&self, row: Row<'_>) -> Result<String, minijinja::Error> {
        let values: BTreeMap<&str, Value> = self
            .columns
            .iter()
            .map(String::as_str)
            .zip(row.cells())
            .map(|(name, cell)| (name, value(name, cell)))
            .collect();
        self.environment.get_template(NAME)?.render(values)
    }
}

/// Like the filter of `minijinja_contrib`, but passes an unknown size through.
fn file_size(value: Value) -> Result<Value, minijinja::Error> {
    match f64::try_from(value.clone()) {
        Ok(size) => Ok(minijinja_contrib::filters::filesizeformat(size, None).into()),
        Err(_) if value.is_none() => Ok(value),
        Err(error) => Err(error),
    }
}

/// Converts a cell to a value for the template: none if it is unknown.
fn value(column: &str, cell: &str) -> Value {
    match column {
        "labels" => {
            Value::from_pairs(serde_json::from_str::<BTreeMap<String, String>>(cell).unwrap_or_default())
        }
        _ if cell.is_empty() => Value::from(()),
        "size" => cell.parse::<u64>().map_or_else(|_| Value::from(()), Value::from),
        _ => Value::from(cell),
    }
}

fn unusable(error: &minijinja::Error) -> Problem {
    let line =
        error.line().filter(|line| *line > 1).map(|line| format!(" in line {line}")).unwrap_or_default();
    let detail = match (error.detail(), error.kind()) {
        (Some(detail), _) => detail.to_owned(),
        (None, ErrorKind::UndefinedError) => {
            "it uses a value that an image of the list does not have".to_owned()
        }
        (None, kind) => kind.to_string(),
    };
    let hint = match error.kind() {
        ErrorKind::SyntaxError => {
            Some("use Jinja syntax, for example: {{ image }}, {% if size %}{{ size }}{% endif %}".to_owned())
        }
        ErrorKind::UnknownFilter => Some("available filters: those of Jinja, and filesizeformat".to_owned()),
        ErrorKind::UndefinedError => {
            Some("for values that may be missing, write for example: {{ x | default('-') }}".to_owned())
        }
        _ => None,
    };
    Problem {
        code: "template".to_owned(),
        message: format!("the template cannot be used{line}: {detail}"),
        hint,
        attrs: Vec::new(),
    }
}

fn settings(json: &str) -> Result<Setting, Problem> {
    serde_json::from_str(json).map_err(|error| config::problem("", error.to_string()))
}

impl Format for Template {
    fn begin(list: &List, _: &mut Vec<u8>) -> Result<Self, Problem> {
        let typed = list.option("argument").filter(|text| !text.is_empty());
        let text = match typed {
            Some(text) => text.to_owned(),
            None => settings(&config::settings())?.template.ok_or_else(|| Problem {
                code: "usage".to_owned(),
                message: "no template is given".to_owned(),
                hint: Some(
                    "write --format template='{{ image }}', or set template in [settings.template-format]"
                        .to_owned(),
                ),
                attrs: Vec::new(),
            })?,
        };
        let template = Self::new(&text, list.columns.clone());
        // The user must fix a typed template, the administrator one in the settings.
        let code = if typed.is_some() { "usage" } else { "template" };
        template.map_err(|problem| Problem { code: code.to_owned(), ..problem })
    }

    fn row(&mut self, row: Row<'_>, out: &mut Vec<u8>) -> Result<(), Problem> {
        out.extend_from_slice(self.line(row).map_err(|error| unusable(&error))?.as_bytes());
        out.push(b'\n');
        Ok(())
    }

    fn end(self, _: &mut Vec<u8>) -> Result<(), Problem> {
        Ok(())
    }
}

impl Settings for Template {
    fn check(json: &str) -> Result<(), Vec<Problem>> {
        let Setting { template } = settings(json).map_err(|problem| vec![problem])?;
        let columns = ["image", "image_type", "digest", "id", "size", "created", "labels"];
        let columns = columns.map(str::to_owned).to_vec();
        let Some(template) = template else { return Ok(()) };
        Self::new(&template, columns).map(drop).map_err(|problem| {
            let Problem { message, hint, .. } = problem;
            vec![Problem { hint, ..config::problem("template", message) }]
        })
    }
}

export_format!(Template);
export_settings!(Template);

#[cfg(test)]
mod tests {
    use bootc_image_plugin_sdk::Attr;
    use bootc_image_plugin_sdk::format::formatted;

    use super::*;

    const COLUMNS: [&str; 7] = ["image", "image_type", "digest", "id", "size", "created", "labels"];

    fn made_of(template: &str) -> Result<String, Problem> {
        let argument = Attr { key: "argument".to_owned(), value: template.to_owned() };
        let columns = COLUMNS.map(str::to_owned).to_vec();
        let list = List { name: NAME.to_owned(), columns, options: vec![argument] };
        let unified = [
            "quay.io/a:1",
            "unified",
            "sha256:d",
            "i",
            "2500000",
            "2026-01-02T03:04:05Z",
            "{\"a.b\":\"<c>\"}",
        ];
        let logical = ["quay.io/b", "logical", "", "", "", "", ""];
        formatted::<Template>(&list, &[&unified, &logical]).map(|out| String::from_utf8(out).unwrap())
    }

    #[test]
    fn every_image_produces_a_line() {
        for (template, expected) in [
            ("{{ image }} {{ image_type }}", "quay.io/a:1 unified\nquay.io/b logical\n"),
            ("{{ size | default('-', true) }}", "2500000\n-\n"),
            ("{{ size | filesizeformat }}", "2.5 MB\n\n"),
            ("{{ created }}", "2026-01-02T03:04:05Z\n\n"),
            ("{{ labels['a.b'] | default('none') }}", "<c>\nnone\n"),
            ("{{ labels | length }} {{ image.split(':')[0] | upper }}", "1 QUAY.IO/A\n0 QUAY.IO/B\n"),
            ("-", "-\n-\n"),
        ] {
            assert_eq!(
                made_of(template).as_deref().map_err(|problem| &problem.message),
                Ok(expected),
                "{template}"
            );
        }
    }

    #[test]
    fn errors_in_a_template_are_reported_before_anything_is_printed() {
        let problem = made_of("{{ imgae }}").unwrap_err();
        assert_eq!(problem.message, "the template uses the unknown variable \"imgae\"");
        assert!(problem.hint.unwrap().starts_with("known variables: image, image_type, "));
        for template in ["{{ image", "{% for x in %}", "{{ image | frobnicate }}", "{% include 'x' %}"] {
            let problem = made_of(template).unwrap_err();
            assert!(problem.message.starts_with("the template cannot be used"), "{template}: {problem:?}");
        }
    }

    #[test]
    fn settings_are_checked() {
        assert_eq!(Template::check("{}"), Ok(()));
        assert_eq!(Template::check(r#"{"template": "{{ image }}"}"#), Ok(()));
        for (json, key) in [(r#"{"template": "{{"}"#, "template"), (r#"{"tmplate": "x"}"#, ""), ("5", "")] {
            let problems = Template::check(json).unwrap_err();
            assert_eq!((problems.len(), problems[0].attrs[0].value.as_str()), (1, key), "{json}");
        }
    }

    #[test]
    fn without_a_template_there_is_no_list() {
        let list = List { columns: COLUMNS.map(str::to_owned).to_vec(), ..List::default() };
        assert_eq!(formatted::<Template>(&list, &[]).unwrap_err().message, "no template is given");
    }
}
