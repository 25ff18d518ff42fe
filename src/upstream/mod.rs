//! Where a request goes: the endpoints of an upstream, which of them are well, and whose
//! turn it is.
//!
//! The configuration's word is server; here a server is an [`Endpoint`], of which a name in
//! the configuration may stand for many. A [`Pool`] has all [`endpoints`] of an upstream;
//! those that may get requests are its [`active_set`], ready to be chosen by [`balance`].
//! What is learnt of an endpoint comes from requests and from what [`background`] does
//! beside them; it makes up its [`health`].

mod active_set;
mod background;
mod balance;
mod call;
mod concurrency;
mod connections;
mod connector;
mod destination_order;
mod duration;
mod endpoint;
mod endpoint_spec;
mod endpoints;
mod grpc_check;
mod health;
mod health_check;
pub mod http1;
pub mod http2;
mod interim_responses;
mod load;
mod operator;
mod peer;
mod pool;
mod pool_key;
mod queue;
mod report;
mod resolve;
mod retry_budget;
mod session;
mod stall;
mod sticky;
mod transport;
mod weighted_choice;

pub use background::resolve_initial;
pub use call::{CallFailure, Question, call};
pub use concurrency::{Concurrency, NoPlace, Place};
pub use connector::{Connector, session_of_our_own};
pub use endpoint::Endpoint;
pub use health::{HealthStatus, OperatorState};
pub use operator::{Change, OperatorCommand};
pub use pool::{Pick, PickRequest, Pool, Unavailable};
pub use report::{EndpointReport, Reports, UpstreamReport};
pub use resolve::Resolver;
pub use session::Session;
pub use sticky::CookieKey;
pub use transport::{CertificateFault, ClientAddress, NotSelected};
pub use weighted_choice::WeightedChoice;
