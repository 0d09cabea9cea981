//! The published types can be constructed and destructured as in version 1.0, wherever they are defined.

use bootc_image_extension::{
    Decision, Denial, Failure, Image, Level, List, Operation, Plan, Problem, Reference, Verdict,
};

/// A vendor can implement its own traits for the published types.
trait Local {
    fn kinds(&self) -> usize;
}

impl Local for Operation {
    fn kinds(&self) -> usize {
        usize::from(!self.kind.is_empty()) + self.images.iter().map(Local::kinds).sum::<usize>()
    }
}

impl Local for Image {
    fn kinds(&self) -> usize {
        usize::from(!self.role.is_empty())
    }
}

fn text(text: &str) -> String {
    text.to_owned()
}

#[test]
fn what_is_asked_can_be_made_for_a_test() {
    let name = Reference { transport: text("docker"), tag: Some(text("1")), ..Reference::default() };
    let image = Image { role: text("source"), name: Some(name), ..Image::default() };
    let attrs = vec![(text("pinned"), text("true"))];
    let operation = Operation { kind: text("list"), images: vec![image], attrs, ..Operation::default() };
    assert_eq!((operation.attr("pinned"), operation.attr("plugin")), (Some("true"), None));
    assert_eq!(operation.kinds(), 2);
    // The type must be inferred without a type argument.
    assert_eq!(Operation::default().attr("pinned"), None);
    let Operation { kind, digest, argv, images, attrs } = operation.clone();
    assert_eq!(Operation { kind, digest, argv, images, attrs }, operation);

    let list = List { options: vec![(text("color"), text("true"))], ..List::default() };
    assert_eq!((list.option("color"), list.option("argument")), (Some("true"), None));
}

#[test]
fn what_is_answered_can_be_compared() {
    let verdict = Verdict::deny("no", "not today").with_attr("a", "b");
    let denial = Denial { code: text("no"), message: text("not today"), hint: String::new() };
    let attrs = vec![(text("a"), text("b"))];
    assert_eq!(verdict, Verdict { decision: Decision::Deny(denial.clone()), attrs });
    assert_eq!(Verdict::allow("").decision, Decision::Allow(String::new()));
    let problem = Problem::usage("which image?").with_hint("name one");
    assert_eq!((&*problem.code, &*problem.hint), ("usage", "name one"));
    assert_ne!(Failure::Denied(denial), Failure::Failed(problem));
    assert_eq!(Plan::default(), Plan { argv: Vec::new(), message: String::new() });
    assert_ne!(Level::Error, Level::Debug);
}
