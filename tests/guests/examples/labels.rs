//! Labels of completed runs.

use tarefa_sdk::prelude::*;

#[task]
fn labelled(label: String) -> u32 {
    complete_as(&label, 1)
}

/// The last label counts.
#[flow]
fn twice() -> u32 {
    complete_as("first", ());
    complete_as("pulado", 2)
}

/// A failed run has no label.
#[task]
fn label_and_failure() -> Result<()> {
    complete_as("processado", ());
    bail!("after the label")
}

export_module!(flows: [twice], tasks: [labelled, label_and_failure]);
