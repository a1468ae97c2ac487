"""Documents and their embeddings in PostgreSQL with pgvector."""

import threading

try:
    import pg8000.native as pg
except ImportError:  # the small variant of the example runs without the Python environment
    pg = None


class StoreError(Exception):
    pass


class VectorStore:
    """One connection, opened when it is needed and dropped after an error."""

    def __init__(self, host, port, user, password, dimensions, timeout=3):
        self._arguments = {"user": user, "password": password, "host": host, "port": port,
                           "database": "postgres", "timeout": timeout}
        self._dimensions = int(dimensions)
        self._lock = threading.Lock()
        self._connection = None

    def count(self):
        return self._run("SELECT count(*) FROM documents")[0][0]

    def insert(self, title, text, embedding):
        self._run("INSERT INTO documents (title, body, embedding) VALUES (:title, :body, :embedding"
                  "::vector) ON CONFLICT (title) DO NOTHING",
                  title=title, body=text, embedding=_literal(embedding))

    def search(self, embedding, limit):
        """The nearest documents as (title, text, cosine distance), nearest first."""
        return self._run("SELECT title, body, embedding <=> :embedding::vector AS distance "
                         "FROM documents ORDER BY distance LIMIT :limit",
                         embedding=_literal(embedding), limit=limit)

    def _run(self, sql, **parameters):
        if pg is None:
            raise StoreError("pg8000 is not installed")
        with self._lock:
            try:
                if self._connection is None:
                    self._connection = pg.Connection(**self._arguments)
                    self._prepare()
                return self._connection.run(sql, **parameters)
            except Exception as e:  # pg8000 raises its own, socket and struct errors
                broken, self._connection = self._connection, None
                try:
                    if broken is not None:
                        broken.close()
                except Exception:  # it is broken already
                    pass
                raise StoreError(f"{type(e).__name__}: {e}") from None

    def _prepare(self):
        self._connection.run("CREATE EXTENSION IF NOT EXISTS vector")
        self._connection.run(
            "CREATE TABLE IF NOT EXISTS documents (title text PRIMARY KEY, body text NOT NULL, "
            f"embedding vector({self._dimensions}) NOT NULL)")
        self._connection.run("CREATE INDEX IF NOT EXISTS documents_nearest ON documents "
                             "USING hnsw (embedding vector_cosine_ops)")


def _literal(embedding):
    return "[" + ",".join(repr(float(x)) for x in embedding) + "]"
