//! The API as its users see it: in process, over HTTPS, and through the real kubectl.

mod http;
mod killed;
mod kubectl;
mod served;
mod store;
mod tokens;
mod watches;
