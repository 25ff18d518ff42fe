//! Panics: one in a request costs that request and is counted, any other one ends the
//! process.
//!
//! Tokio keeps the panic of a task to itself, so that a listener or the supervisor could be
//! gone in a process that lives on. So a panic ends the process unless it happens while
//! [`contain`] polls a request.

use std::any::Any;
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind, set_hook, take_hook};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::task::Poll;

use super::error_log::finish_error_log;
use crate::message::escaping::is_dangerous;
use crate::message::request_id::RequestId;

/// The characters that are logged of a panic's words, in which there may be a peer's bytes.
const MAX_WORDS: usize = 500;

static CONTAINED: AtomicU64 = AtomicU64::new(0);

type Act = Box<dyn FnOnce() + Send>;
/// What is done before a panic ends the process.
static LAST_ACT: Mutex<Option<Act>> = Mutex::new(None);

thread_local! {
    /// Whether this thread polls something whose panic is contained.
    static CONTAINS: Cell<bool> = const { Cell::new(false) };
    /// Where the panic was that is being contained, as the hook saw it.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
    /// The request that was given up by it.
    static REQUEST: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The number of panics that were contained since the process began.
pub fn contained_panics() -> u64 {
    CONTAINED.load(Ordering::Relaxed)
}

/// A panic that was contained.
#[derive(Debug)]
pub struct Panicked {
    /// The id of the request, where it had one.
    pub request: Option<String>,
    place: Option<String>,
    words: String,
}

impl std::fmt::Display for Panicked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.place {
            Some(place) => write!(f, "panicked at {place}: {}", self.words),
            None => write!(f, "panicked: {}", self.words),
        }
    }
}

/// From now on a panic ends the process, with a line in the error log, unless [`contain`] has
/// it.
pub fn end_process_on_panic() {
    let default = take_hook();
    set_hook(Box::new(move |info| {
        if CONTAINS.get() {
            PLACE.set(place(info));
            return;
        }
        default(info);
        let panicked = Panicked { request: None, place: place(info), words: words(info.payload()) };
        log::error!("the process ends: {panicked}");
        log::logger().flush();
        if let Some(act) = last_act() {
            act();
        }
        finish_error_log();
        std::process::abort();
    }));
}

/// Has `act` be done before a panic ends the process. The end itself may take a while: the system may
/// write the memory of the process to a file first.
pub fn before_panic_ends_process(act: impl FnOnce() + Send + 'static) {
    *LAST_ACT.lock().unwrap_or_else(PoisonError::into_inner) = Some(Box::new(act));
}

fn last_act() -> Option<Act> {
    // Never waited for: it may be this thread that has the lock.
    LAST_ACT.try_lock().ok()?.take()
}

fn place(info: &PanicHookInfo<'_>) -> Option<String> {
    info.location().map(ToString::to_string)
}

/// A panic's words on one line, of bounded length.
fn words(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("no words");
    text.chars().map(|c| if is_dangerous(c) { ' ' } else { c }).take(MAX_WORDS).collect()
}

/// To be called where the context of a request is dropped: where that is because of a panic,
/// [`Panicked`] names the request.
pub fn note_request(id: &RequestId) {
    if std::thread::panicking() {
        REQUEST.set(Some(id.to_string()));
    }
}

/// Marks the thread for as long as it polls.
struct Containing(bool);

impl Containing {
    fn begin() -> Self {
        Self(CONTAINS.replace(true))
    }
}

impl Drop for Containing {
    fn drop(&mut self) {
        CONTAINS.set(self.0);
    }
}

/// Drives a future to its end. What it holds is dropped where it panics.
///
/// # Errors
/// When it panicked.
pub async fn contain<F: Future + Unpin>(mut future: F) -> Result<F::Output, Panicked> {
    std::future::poll_fn(move |cx| {
        let containing = Containing::begin();
        // Who looks at what a panic left behind are guards and locks that are whole after each
        // statement.
        let polled = catch_unwind(AssertUnwindSafe(|| std::pin::Pin::new(&mut future).poll(cx)));
        drop(containing);
        match polled {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => {
                CONTAINED.fetch_add(1, Ordering::Relaxed);
                let words = words(&*payload);
                Poll::Ready(Err(Panicked { request: REQUEST.take(), place: PLACE.take(), words }))
            }
        }
    })
    .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{ErrorFormat, ErrorLog};
    use crate::telemetry::ErrorLogger;
    use std::pin::pin;
    use std::process::Command;

    struct Context(RequestId);

    impl Drop for Context {
        fn drop(&mut self) {
            note_request(&self.0);
        }
    }

    async fn fails(id: &RequestId) {
        let _context = Context(id.clone());
        tokio::task::yield_now().await;
        panic!("it\u{1b}[31m broke\n{}", "x".repeat(1000));
    }

    #[tokio::test]
    async fn a_panic_costs_what_is_contained_and_names_its_request() {
        let before = contained_panics();
        let panicked = contain(pin!(fails(&RequestId::example()))).await.unwrap_err();
        assert_eq!((&panicked.request, contained_panics() > before), (&Some(RequestId::example().to_string()), true));
        let text = panicked.to_string();
        assert!(text.contains("it [31m broke xxx") && text.len() < MAX_WORDS + 100, "{text}");
        let done = pin!(async {
            drop(Context(RequestId::example()));
            9
        });
        assert_eq!(contain(done).await.ok(), Some(9));
        let later = contain(pin!(async { panic!("without a request") })).await;
        assert_eq!(later.map(|(): ()| None).unwrap_or_else(|panicked| panicked.request), None);
    }

    /// What the process of [`ends`] does; the hook would end the other tests too.
    #[tokio::test]
    #[ignore = "it ends its process"]
    async fn child() {
        let mut filter = env_filter::Builder::new();
        let filter = filter.filter_level(log::LevelFilter::Error).build();
        ErrorLogger::start(&ErrorLog::Stderr, ErrorFormat::Text, filter, |module| module).unwrap();
        end_process_on_panic();
        before_panic_ends_process(|| log::error!("the last act"));
        let contained = contain(pin!(fails(&RequestId::example()))).await.unwrap_err();
        log::error!("{contained}; lived on");
        match std::env::var("PANICS_IN").unwrap().as_str() {
            "a task" => drop(tokio::spawn(async { fails(&RequestId::example()).await }).await),
            "a thread" => drop(std::thread::spawn(|| panic!("it broke")).join()),
            "a task of a request" => {
                drop(contain(pin!(async { tokio::spawn(async { fails(&RequestId::example()).await }).await })).await)
            }
            "nothing" => return log::logger().flush(),
            other => unreachable!("{other}"),
        };
        log::error!("and again");
    }

    fn ends(place: &str) -> (Option<i32>, String) {
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "telemetry::panics::tests::child", "--nocapture"])
            .env("PANICS_IN", place)
            .output()
            .unwrap();
        let signal = std::os::unix::process::ExitStatusExt::signal(&output.status);
        (signal, String::from_utf8_lossy(&output.stderr).into_owned())
    }

    #[test]
    fn a_panic_outside_of_a_request_ends_the_process() {
        for place in ["a task", "a thread", "a task of a request"] {
            let (signal, text) = ends(place);
            assert!(signal == Some(6) && text.contains("the process ends: panicked at src"), "{place}: {text}");
            assert!(text.contains("src/telemetry/panics.rs") && text.contains("lived on"), "{place}: {text}");
            assert!(text.contains("the last act") && !text.contains("and again"), "{place}: {text}");
        }
        let (signal, text) = ends("nothing");
        assert!(signal.is_none() && text.matches("it [31m broke").count() == 1, "{text}");
        assert!(!text.contains("the last act"), "{text}");
    }
}
