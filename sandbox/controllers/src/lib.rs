//! The sandbox's controllers: scheduler, jobs, deployments, endpoints, volumes, garbage.
