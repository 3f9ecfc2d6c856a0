// Package postgres keeps topics in PostgreSQL: an [engine.Engine] on pgx for those who
// have a database already, and the transactional outbox.
package postgres
