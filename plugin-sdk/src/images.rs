//! Listing and copying images of the host, for plugins that plan commands. Each call is a separate operation, which policies
//! judge and bootc-image records. Each call requires a capability that the manifest requests.
//!
//! ```
//! use bootc_image_plugin_sdk::command::{Command, Plan};
//! use bootc_image_plugin_sdk::{Failure, export_command, images};
//!
//! struct Diff;
//!
//! impl Command for Diff {
//!     fn plan(name: &str, _: &[String]) -> Result<Plan, Failure> {
//!         let apps = images::list(&["image"], &[("type", "unified"), ("image", "quay.io/example/*")])?;
//!         let Some([app]) = apps.first().map(Vec::as_slice) else {
//!             return Err(Failure::failed("no-app", "there is no image of quay.io/example on this host"));
//!         };
//!         images::copy_to_storage(Some(app), Some("localhost/example:before"))?;
//!         Ok(Plan::run([name, app]).with_message(format!("copied {app} first")))
//!     }
//! }
//!
//! export_command!(Diff);
//! ```

use crate::bindings::imports::bootc_image::host::{images, rows, transfers};
use crate::{Attr, Failure};

/// A row of a list, with one cell per requested column.
pub type Row = Vec<String>;

/// Lists the images that match every filter, such as `("type", "unified")` or `("image", "quay.io/example/*")`, with these columns.
/// Requires the capability `lists-images`. Returns no rows in a native build.
///
/// # Errors
/// [`Failure::Denied`] if the list is denied. [`Failure::Failed`] with the code `usage` if a column or a filter is unknown.
pub fn list(columns: &[&str], filter: &[(&str, &str)]) -> Result<Vec<Row>, Failure> {
    if !cfg!(target_arch = "wasm32") {
        return Ok(Vec::new());
    }
    let columns: Vec<String> = columns.iter().map(|&column| column.to_owned()).collect();
    let attr = |&(key, value): &(&str, &str)| Attr { key: key.to_owned(), value: value.to_owned() };
    let filter: Vec<Attr> = filter.iter().map(attr).collect();
    let cursor = images::list(&columns, &filter)?;
    let mut listed = Vec::new();
    loop {
        let chunk = cursor.next(0);
        if chunk.count == 0 {
            return Ok(listed);
        }
        listed.extend(unpacked(&chunk, columns.len()));
    }
}

/// Unpacks the rows of a chunk.
fn unpacked(chunk: &rows::Chunk, width: usize) -> Vec<Row> {
    let mut start = 0;
    let cells = chunk.ends.iter().map(|&end| {
        let cell = chunk.data.get(start..end as usize).unwrap_or_default();
        start = end as usize;
        String::from_utf8_lossy(cell).into_owned()
    });
    let cells: Vec<String> = cells.collect();
    cells.chunks(width.max(1)).map(<[String]>::to_vec).collect()
}

/// The result of a copy.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Copied {
    /// The name of the copy.
    pub name: String,
    /// The digest of the copy's manifest: `sha256:` and 64 hexadecimal digits.
    pub digest: String,
    /// The ID of the copy.
    pub id: String,
    /// Whether the image was there already, so that nothing was copied.
    pub unchanged: bool,
}

impl Copied {
    fn of(attrs: Vec<Attr>) -> Self {
        let mut copied = Self::default();
        for Attr { key, value } in attrs {
            match key.as_str() {
                "name" => copied.name = value,
                "digest" => copied.digest = value,
                "id" => copied.id = value,
                "unchanged" => copied.unchanged = value == "true",
                _ => {}
            }
        }
        copied
    }
}

fn no_host() -> Failure {
    Failure::failed("no-host", "images can be copied only by the host, and this is a native build")
}

/// Copies an image of the host to podman's storage. If `source` is none, the booted image is copied. If `target` is none, the copy
/// is named `localhost/bootc`. Requires the capability `copies-images`. Fails in a native build.
///
/// # Errors
/// [`Failure::Denied`] if the copy is denied; nothing was changed then. [`Failure::Failed`] if the copy fails; the name then still
/// refers to the same image as before.
pub fn copy_to_storage(source: Option<&str>, target: Option<&str>) -> Result<Copied, Failure> {
    if cfg!(target_arch = "wasm32") {
        transfers::copy_to_storage(source, target).map(Copied::of)
    } else {
        Err(no_host())
    }
}

/// Copies an image from podman's storage to bootc's storage. Requires the capability `pulls-images`. Fails in a native build.
///
/// # Errors
/// As for [`copy_to_storage`].
pub fn pull_from_default_storage(image: &str) -> Result<Copied, Failure> {
    if cfg!(target_arch = "wasm32") {
        transfers::pull_from_default_storage(image).map(Copied::of)
    } else {
        Err(no_host())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_unpacked() {
        let chunk = rows::Chunk { count: 2, data: b"abcde".to_vec(), ends: vec![1, 3, 3, 5] };
        assert_eq!(unpacked(&chunk, 2), [["a", "bc"], ["", "de"]]);
    }

    #[test]
    fn natively_nothing_is_listed_and_nothing_copied() {
        assert_eq!(list(&["image"], &[]), Ok(Vec::new()));
        assert!(matches!(copy_to_storage(None, None), Err(Failure::Failed(_))));
        assert!(matches!(pull_from_default_storage("x"), Err(Failure::Failed(_))));
    }
}
