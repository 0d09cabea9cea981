//! podman's arguments as data.
