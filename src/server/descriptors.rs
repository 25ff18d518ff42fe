//! How many descriptors the process may have: each connection of a client takes one, and so does each
//! connection to an upstream.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::config::Limits;

/// Takes as many as the system lets the process have, and warns where those are too few.
pub fn take_all(limits: &Limits) {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum
        && let Err(e) = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
    {
        log::warn!("the process keeps its limit of descriptors: {e}");
        return;
    }
    if let (Some(connections), Some(most)) = (limits.connections, maximum)
        && u64::try_from(connections).unwrap_or(u64::MAX) > most
    {
        log::warn!(
            "the system lets this process have {most} descriptors, too few for {connections} connections \
             (`limits.connections`), to say nothing of those to upstreams: raise its limit (`LimitNOFILE=`, `ulimit -Hn`)"
        );
    }
}
