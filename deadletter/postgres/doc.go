// Package postgres keeps the dead letters of a fleet in a PostgreSQL database.
package postgres
