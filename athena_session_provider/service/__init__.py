"""Athena alone: the operations on a session, without Pulumi."""
