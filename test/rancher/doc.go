// Package rancher tests that VIPs reach Rancher and Fleet, on a management cluster
// with their kinds and with stand-ins for the controllers that write them: Rancher
// Turtles, Rancher, and the Cluster API Addon Provider Fleet.
package rancher
