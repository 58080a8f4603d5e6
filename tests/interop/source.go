package main

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/tlog"
)

const (
	tileHeight = 8
	tileWidth  = 1 << tileHeight

	maxCheckpoint = 1 << 16                 // some kilobytes, with the signatures of many witnesses
	maxBundle     = tileWidth * (2 + 1<<16) // 256 of the longest entries that a bundle can hold
	patience      = 30 * time.Second        // for one answer
)

// A source is a log behind HTTP: the service itself, or a static server of its files.
type source struct {
	base, token string
}

var client = http.Client{Timeout: patience}

// get reads a resource of at most `limit` bytes.
func (s *source) get(path string, limit int64) ([]byte, error) {
	request, err := http.NewRequest(http.MethodGet, strings.TrimSuffix(s.base, "/")+"/"+path, nil)
	if err != nil {
		return nil, err
	}
	if s.token != "" {
		request.Header.Set("Authorization", "Bearer "+s.token)
	}
	response, err := client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", path, response.Status)
	}
	data, err := io.ReadAll(io.LimitReader(response.Body, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = errors.New("too long")
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return data, nil
}

// tilePath names a tile as C2SP does: as Go's checksum database, which puts the height in front, and says `data`
// where C2SP says `entries`.
func tilePath(tile tlog.Tile) string {
	path := strings.TrimPrefix(tile.Path(), fmt.Sprintf("tile/%d/", tile.H))
	return "tile/" + strings.Replace(path, "data/", "entries/", 1)
}

// A tileCache reads tiles from a log, each once. It is safe for concurrent use, as tlog.TileReader has to be.
type tileCache struct {
	from  *source
	mutex sync.Mutex
	tiles map[tlog.Tile][]byte
}

func newTileCache(from *source) *tileCache {
	return &tileCache{from: from, tiles: map[tlog.Tile][]byte{}}
}

// Height is that of C2SP's tiles.
func (c *tileCache) Height() int { return tileHeight }

// ReadTiles gives tiles, of which tlog checks the length.
func (c *tileCache) ReadTiles(tiles []tlog.Tile) ([][]byte, error) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	found := make([][]byte, len(tiles))
	for i, tile := range tiles {
		data, there := c.tiles[tile]
		if !there {
			var err error
			if data, err = c.from.get(tilePath(tile), tileWidth*tlog.HashSize); err != nil {
				return nil, err
			}
			c.tiles[tile] = data
		}
		found[i] = data
	}
	return found, nil
}

// SaveTiles has nothing to do: the tiles are kept from when they are read.
func (c *tileCache) SaveTiles([]tlog.Tile, [][]byte) {}

// remember makes a reader that asks another one once for each hash. Nothing rests on these hashes being right already,
// and with golang.org/x/mod up to 0.38, whose TileHashReader leaves some tiles of a read unverified, not all are: it is
// the proofs made of them that have to lead to the root.
func remember(hashes tlog.HashReader) tlog.HashReader {
	var known sync.Map // stored hash index: hash
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found, missing := make([]tlog.Hash, len(indexes)), []int64{}
		for _, index := range indexes {
			if _, there := known.Load(index); !there {
				missing = append(missing, index)
			}
		}
		if len(missing) > 0 {
			fresh, err := hashes.ReadHashes(missing)
			if err != nil {
				return nil, err
			}
			for i, index := range missing {
				known.Store(index, fresh[i])
			}
		}
		for i, index := range indexes {
			hash, _ := known.Load(index)
			found[i] = hash.(tlog.Hash)
		}
		return found, nil
	})
}
