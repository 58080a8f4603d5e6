package main

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"golang.org/x/mod/sumdb/tlog"
)

// parseCheckpoint reads the three lines of a checkpoint (C2SP tlog-checkpoint): origin, size, root.
func parseCheckpoint(text, origin string) (tlog.Tree, error) {
	lines := strings.Split(text, "\n")
	if len(lines) != 4 || lines[3] != "" {
		return tlog.Tree{}, errors.New("checkpoint: it has not three lines")
	}
	if lines[0] != origin {
		return tlog.Tree{}, fmt.Errorf("checkpoint: it is of `%s`, not of `%s`", lines[0], origin)
	}
	size, err := strconv.ParseInt(lines[1], 10, 64)
	if err != nil || size < 0 || strconv.FormatInt(size, 10) != lines[1] {
		return tlog.Tree{}, fmt.Errorf("checkpoint: `%s` is no size", lines[1])
	}
	root, err := base64.StdEncoding.Strict().DecodeString(lines[2])
	if err != nil || len(root) != tlog.HashSize {
		return tlog.Tree{}, fmt.Errorf("checkpoint: `%s` is no root", lines[2])
	}
	tree := tlog.Tree{N: size}
	copy(tree.Hash[:], root)
	return tree, nil
}

// Entries are what was computed from a log's entries alone: leaf hashes, and the root of the tree of every size.
type entries struct {
	leaves  []tlog.Hash
	roots   []tlog.Hash
	bundles int
}

// readLog reads every entry of a log.
func readLog(from *source, size int64) (*entries, error) {
	read := &entries{roots: []tlog.Hash{sha256.Sum256(nil)}}
	stored := []tlog.Hash{}
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	for start := int64(0); start < size; start += tileWidth {
		records, err := readBundle(from, start, size)
		if err != nil {
			return nil, err
		}
		read.bundles++
		for _, record := range records {
			index := int64(len(read.leaves))
			leaf := tlog.RecordHash(record)
			more, err := tlog.StoredHashesForRecordHash(index, leaf, reader)
			if err != nil {
				return nil, err
			}
			stored = append(stored, more...)
			root, err := tlog.TreeHash(index+1, reader)
			if err != nil {
				return nil, err
			}
			read.leaves, read.roots = append(read.leaves, leaf), append(read.roots, root)
		}
	}
	return read, nil
}

// readBundle reads the bundle that begins with entry `start`: as many entries as a tree of `size` has of it.
func readBundle(from *source, start, size int64) ([][]byte, error) {
	width := size - start
	if width > tileWidth {
		width = tileWidth
	}
	path := tilePath(tlog.Tile{H: tileHeight, L: -1, N: start / tileWidth, W: int(width)})
	data, err := from.get(path, maxBundle)
	if err != nil {
		return nil, err
	}
	records := [][]byte{}
	for len(data) > 0 {
		if len(data) < 2 || len(data)-2 < int(binary.BigEndian.Uint16(data)) {
			return nil, fmt.Errorf("%s: it breaks off in entry %d", path, start+int64(len(records)))
		}
		end := 2 + int(binary.BigEndian.Uint16(data))
		records, data = append(records, data[2:end]), data[end:]
	}
	if int64(len(records)) != width {
		return nil, fmt.Errorf("%s: it has %d entries, and not %d", path, len(records), width)
	}
	return records, nil
}
