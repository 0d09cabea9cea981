//! Plans subcommands from a list of allowed names. The list is a parameter, so that a test can build a plugin with another list.

use bootc_image_plugin_sdk::Failure;
use bootc_image_plugin_sdk::command::Plan;

/// Plans `name` with unchanged arguments if it is in `allowed`, and denies it otherwise.
pub(crate) fn plan_with(allowed: &[&str], name: &str, args: &[String]) -> Result<Plan, Failure> {
    if !allowed.contains(&name) {
        return Err(Failure::denied(
            "not-in-allowlist",
            format!("the podman image subcommand `{name}` is not allowed"),
        )
        .with_hint(format!("allowed subcommands: {}", allowed.join(", "))));
    }
    Ok(Plan::run(std::iter::once(name).chain(args.iter().map(String::as_str))))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(words: &[&str]) -> Vec<String> {
        words.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn an_allowed_name_keeps_its_arguments() {
        let plan = plan_with(&["list", "pull"], "pull", &words(&["--quiet", "a b", ""])).unwrap();
        assert_eq!(plan.argv, words(&["pull", "--quiet", "a b", ""]));
        assert_eq!(plan.message, "");
    }

    #[test]
    fn another_name_is_denied_with_a_hint() {
        let Err(Failure::Denied(denial)) = plan_with(&["list", "pull"], "rm", &[]) else {
            panic!("not denied")
        };
        assert_eq!(denial.code, "not-in-allowlist");
        assert_eq!(denial.message, "the podman image subcommand `rm` is not allowed");
        assert_eq!(denial.hint.as_deref(), Some("allowed subcommands: list, pull"));
    }

    #[test]
    fn names_are_compared_whole_and_by_case() {
        for name in ["", "LIST", "list ", " list", "lis", "--root", "pull\0"] {
            assert!(matches!(plan_with(&["list", "pull"], name, &[]), Err(Failure::Denied(_))), "{name:?}");
        }
    }

    #[test]
    fn an_empty_list_denies_everything() {
        assert!(matches!(plan_with(&[], "list", &[]), Err(Failure::Denied(_))));
    }
}
