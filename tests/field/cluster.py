"""Django's cache for Redis, with the client of redis-py for clusters."""

from django.core.cache.backends.redis import RedisCache, RedisCacheClient
from redis.cluster import RedisCluster


class ClusterCacheClient(RedisCacheClient):
    _shared = {}

    def get_client(self, key=None, *, write=False):
        url = self._servers[0]
        if url not in self._shared:
            self._shared[url] = RedisCluster.from_url(url)
        return self._shared[url]


class ClusterCache(RedisCache):
    def __init__(self, server, params):
        super().__init__(server, params)
        self._class = ClusterCacheClient
