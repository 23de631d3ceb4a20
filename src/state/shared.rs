//! Whether the state is CPython's own: from 3.14 on the interpreter has places for running loop, current task and list
//! of tasks in each thread's state. Where these are used, CPython's module and ours are of one world, and debuggers see
//! our tasks.
//!
//! Where the places are is said by the section `.AsyncioDebug` of the file that CPython's module is in: a library, or
//! the interpreter. It is for debuggers, and is believed as far as it can be tried out only ([`interpreter_fields`]).
//! It says where things are in a task, too; ours must have them there. Whatever does not fit: the state is our own.

use std::path::{Path, PathBuf};

use pyo3::prelude::*;

use crate::sys::interpreter_fields::{self, Offsets};
use crate::sys::threads::Thread;
use crate::sys::{debug_section, py};
use crate::versions;

use super::elf;

const SECTION: &str = ".AsyncioDebug";

/// Where a task of ours has what debuggers look at: its size; name, `awaited_by`, `is_task`, `awaited_by_is_set`,
/// coroutine, and its node.
pub(crate) type TaskLayout = [usize; 7];

/// Uses CPython's places if they fit; else says why not. Called once, before anything is in our own.
pub(super) fn settle(task: TaskLayout) -> Result<(), String> {
    if !versions::TASKS_PER_THREAD {
        return Err("before Python 3.14 CPython has no such places".into());
    }
    let words =
        files().iter().find_map(|file| offsets_in(file)).ok_or("CPython's section .AsyncioDebug was not found")?;
    let numbers = words.map(|word| usize::try_from(word).unwrap_or(usize::MAX));
    let [told_of_task @ .., interpreter_size, interpreter_list, thread_size, first, second, list] = numbers;
    if told_of_task != task {
        return Err("CPython's section .AsyncioDebug does not fit: its tasks are not laid out as ours".into());
    }
    let main = main_thread().map_err(|_| "the main thread is not known")?;
    interpreter_fields::settle(Offsets { thread_size, first, second, list, interpreter_size, interpreter_list }, main)
        .map_err(|reason| format!("CPython's section .AsyncioDebug does not fit: {reason}"))?;
    debug_section::publish(words);
    Ok(())
}

fn main_thread() -> PyResult<Thread> {
    py().import("_thread")?.call_method0("_get_main_thread_ident")?.extract().map(Thread::numbered)
}

/// The section of a file, if it has the length that is known.
fn offsets_in(file: &Path) -> Option<[u64; debug_section::WORDS]> {
    let bytes = elf::section(file, SECTION)?;
    if bytes.len() != size_of::<[u64; debug_section::WORDS]>() {
        return None;
    }
    let mut words = [0; debug_section::WORDS];
    for (word, place) in words.iter_mut().zip((0..).step_by(size_of::<u64>())) {
        *word = elf::long(&bytes, place)?;
    }
    Some(words)
}

/// The files that CPython's module may be in.
fn files() -> Vec<PathBuf> {
    match is_builtin() {
        Ok(true) => interpreter_files(),
        Ok(false) => library().ok().flatten().into_iter().collect(),
        Err(_) => Vec::new(),
    }
}

fn is_builtin() -> PyResult<bool> {
    py().import("sys")?.getattr("builtin_module_names")?.contains("_asyncio")
}

/// The library that was imported as CPython's module, or would be.
fn library() -> PyResult<Option<PathBuf>> {
    let imported = py().import("sys")?.getattr("modules")?.call_method1("get", ("_asyncio",))?;
    let spec = if imported.is_none() {
        py().import("importlib.machinery")?.getattr("PathFinder")?.call_method1("find_spec", ("_asyncio",))?
    } else {
        imported.getattr("__spec__")?
    };
    if spec.is_none() { Ok(None) } else { spec.getattr("origin")?.extract() }
}

/// The program, and the libraries that the interpreter may be in.
fn interpreter_files() -> Vec<PathBuf> {
    let mut files = vec![PathBuf::from("/proc/self/exe")];
    for line in std::fs::read_to_string("/proc/self/maps").unwrap_or_default().lines() {
        if let Some((_, file)) = line.split_once(" /") {
            let file = Path::new("/").join(file);
            let is_library = file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libpython"));
            if is_library && files.last() != Some(&file) {
                files.push(file);
            }
        }
    }
    files
}
