//! Requests as structs of the C interface. The structs point into the request that they were made of, and do not outlive it.

use std::marker::PhantomData;
use std::ptr;

use bootc_image_extension::abi::{self, Text};
use bootc_image_native_protocol as protocol;
use bootc_image_plugin_model as plugin_model;

/// A borrowed text. Its pointer is not null even if it is empty, because C's string functions do not accept null.
pub(crate) fn text(text: &str) -> Text {
    Text { data: text.as_ptr().cast(), length: text.len() }
}

fn texts(all: &[String]) -> Vec<Text> {
    all.iter().map(|one| text(one)).collect()
}

fn pairs(all: &[plugin_model::Pair]) -> Vec<abi::Pair> {
    all.iter().map(|(key, value)| abi::Pair { key: text(key), value: text(value) }).collect()
}

/// The parts that an image struct points to.
struct Image {
    name: Option<Box<abi::Reference>>,
    attrs: Vec<abi::Pair>,
}

/// An operation for a policy.
pub(crate) struct Operation<'a> {
    operation: abi::Operation,
    _argv: Vec<Text>,
    _attrs: Vec<abi::Pair>,
    _parts: Vec<Image>,
    _images: Vec<abi::Image>,
    _pointers: Vec<*const abi::Image>,
    _of: PhantomData<&'a plugin_model::Operation>,
}

impl<'a> Operation<'a> {
    pub(crate) fn of(asked: &'a plugin_model::Operation) -> Self {
        let parts: Vec<Image> = asked
            .images
            .iter()
            .map(|image| Image {
                name: image.name.as_ref().map(|name| Box::new(reference(name))),
                attrs: pairs(&image.attrs),
            })
            .collect();
        let images: Vec<abi::Image> = asked
            .images
            .iter()
            .zip(&parts)
            .map(|(image, parts)| abi::Image {
                size: size_of::<abi::Image>(),
                role: text(&image.role),
                name: parts.name.as_deref().map_or(ptr::null(), ptr::from_ref),
                digest: text(image.digest.as_deref().unwrap_or_default()),
                attrs: parts.attrs.as_ptr(),
                attr_count: parts.attrs.len(),
            })
            .collect();
        let pointers: Vec<*const abi::Image> = images.iter().map(ptr::from_ref).collect();
        let (argv, attrs) = (texts(&asked.argv), pairs(&asked.attrs));
        let operation = abi::Operation {
            size: size_of::<abi::Operation>(),
            kind: text(&asked.kind),
            digest: text(&asked.digest),
            argv: argv.as_ptr(),
            argv_count: argv.len(),
            images: pointers.as_ptr(),
            image_count: pointers.len(),
            attrs: attrs.as_ptr(),
            attr_count: attrs.len(),
        };
        Self {
            operation,
            _argv: argv,
            _attrs: attrs,
            _parts: parts,
            _images: images,
            _pointers: pointers,
            _of: PhantomData,
        }
    }

    pub(crate) fn as_ptr(&self) -> *const abi::Operation {
        &raw const self.operation
    }
}

fn reference(name: &plugin_model::Reference) -> abi::Reference {
    abi::Reference {
        size: size_of::<abi::Reference>(),
        canonical: text(&name.canonical),
        transport: text(&name.transport),
        registry: text(&name.registry),
        repository: text(&name.repository),
        tag: text(name.tag.as_deref().unwrap_or_default()),
        digest: text(name.digest.as_deref().unwrap_or_default()),
    }
}

/// A list for a formatter.
pub(crate) struct List<'a> {
    list: abi::List,
    _columns: Vec<Text>,
    _options: Vec<abi::Pair>,
    _of: PhantomData<&'a plugin_model::List>,
}

impl<'a> List<'a> {
    pub(crate) fn of(asked: &'a plugin_model::List) -> Self {
        let (columns, options) = (texts(&asked.columns), pairs(&asked.options));
        let list = abi::List {
            size: size_of::<abi::List>(),
            format: text(&asked.format),
            columns: columns.as_ptr(),
            column_count: columns.len(),
            options: options.as_ptr(),
            option_count: options.len(),
        };
        Self { list, _columns: columns, _options: options, _of: PhantomData }
    }

    pub(crate) fn as_ptr(&self) -> *const abi::List {
        &raw const self.list
    }
}

/// A command for a wrapper.
pub(crate) struct Command<'a> {
    command: abi::Command,
    _args: Vec<Text>,
    _of: PhantomData<&'a protocol::Command>,
}

impl<'a> Command<'a> {
    pub(crate) fn of(asked: &'a protocol::Command) -> Self {
        let args = texts(&asked.args);
        let command = abi::Command {
            size: size_of::<abi::Command>(),
            name: text(&asked.name),
            args: args.as_ptr(),
            arg_count: args.len(),
        };
        Self { command, _args: args, _of: PhantomData }
    }

    pub(crate) fn as_ptr(&self) -> *const abi::Command {
        &raw const self.command
    }
}
