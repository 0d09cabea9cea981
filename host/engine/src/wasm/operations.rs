//! `bootc-image:policy/operations`: the policy input. A policy can use it only during the call.

use std::sync::Arc;

use bootc_image_model::policy_input::{self, PolicyInput};
use wasmtime::component::Resource;

use super::bindings::imports::bootc_image::policy::operations::{Host, HostOperation, Image};
use super::bindings::imports::bootc_image::types::attrs::Attr;
use super::bindings::imports::bootc_image::types::references::{self, Reference};
use super::guest::Guest;

/// The operation behind a handle. It is public because generated code re-exports it.
#[allow(unreachable_pub)]
pub struct Lent(pub(super) Arc<PolicyInput>);

impl references::Host for Guest {}
impl Host for Guest {}

impl Guest {
    /// The operation behind a handle. A forged handle traps.
    fn lent(&self, operation: &Resource<Lent>) -> wasmtime::Result<Arc<PolicyInput>> {
        Ok(self.table().get(operation)?.0.clone())
    }
}

impl HostOperation for Guest {
    fn kind(&mut self, operation: Resource<Lent>) -> wasmtime::Result<String> {
        let policy_input = self.lent(&operation)?;
        self.budget().transfer([policy_input.kind.as_str()])?;
        Ok(policy_input.kind.clone())
    }

    fn argv(&mut self, operation: Resource<Lent>) -> wasmtime::Result<Vec<String>> {
        let policy_input = self.lent(&operation)?;
        self.budget().transfer(policy_input.argv.iter().map(String::as_str))?;
        Ok(policy_input.argv.clone())
    }

    fn images(&mut self, operation: Resource<Lent>) -> wasmtime::Result<Vec<Image>> {
        let policy_input = self.lent(&operation)?;
        let images: Vec<Image> = policy_input.images.iter().map(image).collect();
        self.budget().transfer(images.iter().flat_map(texts))?;
        Ok(images)
    }

    fn digest(&mut self, operation: Resource<Lent>) -> wasmtime::Result<String> {
        let policy_input = self.lent(&operation)?;
        self.budget().transfer([policy_input.digest.as_str()])?;
        Ok(policy_input.digest.clone())
    }

    fn attr(&mut self, operation: Resource<Lent>, key: String) -> wasmtime::Result<Option<String>> {
        let policy_input = self.lent(&operation)?;
        let value = policy_input.attr(&key);
        self.budget().transfer([key.as_str(), value.unwrap_or_default()])?;
        Ok(value.map(str::to_owned))
    }

    fn attrs(&mut self, operation: Resource<Lent>, prefix: String) -> wasmtime::Result<Vec<Attr>> {
        let policy_input = self.lent(&operation)?;
        let matching = policy_input.attrs.iter().filter(|(key, _)| key.starts_with(&prefix));
        let attrs: Vec<Attr> = matching.map(attr).collect();
        let texts = attrs.iter().flat_map(|attr| [attr.key.as_str(), attr.value.as_str()]);
        self.budget().transfer(texts.chain([prefix.as_str()]))?;
        Ok(attrs)
    }

    fn drop(&mut self, operation: Resource<Lent>) -> wasmtime::Result<()> {
        self.table_mut().delete(operation)?;
        Ok(())
    }
}

fn attr((key, value): &(&'static str, String)) -> Attr {
    Attr { key: (*key).to_owned(), value: value.clone() }
}

fn image(image: &policy_input::Image) -> Image {
    Image {
        role: image.role.as_str().to_owned(),
        name: image.name.as_ref().map(reference),
        digest: image.digest.clone(),
        attrs: image.attrs.iter().map(attr).collect(),
    }
}

fn reference(name: &policy_input::Name) -> Reference {
    Reference {
        canonical: name.canonical.clone(),
        transport: name.transport.clone(),
        registry: name.registry.clone(),
        repository: name.repository.clone(),
        tag: name.tag.clone(),
        digest: name.digest.clone(),
    }
}

fn texts(image: &Image) -> Vec<&str> {
    let mut texts = vec![image.role.as_str(), image.digest.as_deref().unwrap_or_default()];
    texts.extend(image.attrs.iter().flat_map(|attr| [attr.key.as_str(), attr.value.as_str()]));
    if let Some(name) = &image.name {
        texts
            .extend([&name.canonical, &name.transport, &name.registry, &name.repository].map(String::as_str));
        texts.extend([name.tag.as_deref(), name.digest.as_deref()].into_iter().flatten());
    }
    texts
}
