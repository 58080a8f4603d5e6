package main

import (
	"errors"
	"strconv"
	"testing"

	"golang.org/x/mod/sumdb/tlog"
)

const size = 300

// small makes a tree of 300 records, with its hashes, and the leaf and the root at every size.
func small(t *testing.T) (tlog.Tree, tlog.HashReader, *entries) {
	t.Helper()
	var stored []tlog.Hash
	reader := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		found := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			found[i] = stored[index]
		}
		return found, nil
	})
	made := &entries{roots: []tlog.Hash{{}}}
	for i := int64(0); i < size; i++ {
		leaf := tlog.RecordHash([]byte(strconv.FormatInt(i, 10)))
		more, err := tlog.StoredHashesForRecordHash(i, leaf, reader)
		if err != nil {
			t.Fatal(err)
		}
		stored = append(stored, more...)
		root, err := tlog.TreeHash(i+1, reader)
		if err != nil {
			t.Fatal(err)
		}
		made.leaves, made.roots = append(made.leaves, leaf), append(made.roots, root)
	}
	return tlog.Tree{N: size, Hash: made.roots[size]}, reader, made
}

// What is not the tree of that size, or the record of that index, does not pass.
func TestChecksRefuseAnythingElse(t *testing.T) {
	tree, hashes, made := small(t)
	for n := int64(1); n <= size; n++ {
		if err := checkTree(tree, hashes, n, made.roots[n]); err != nil {
			t.Fatal(err)
		}
		if checkTree(tree, hashes, n, made.roots[n-1]) == nil {
			t.Fatalf("the root of size %d passed for that of size %d", n-1, n)
		}
		if err := checkRecord(tree, hashes, n-1, made.leaves[n-1]); err != nil {
			t.Fatal(err)
		}
		if checkRecord(tree, hashes, n-1, made.leaves[n%size]) == nil {
			t.Fatalf("another record passed for record %d", n-1)
		}
	}
}

// Every number is checked once, and one that fails is enough.
func TestCountLeavesNothingOut(t *testing.T) {
	if held, err := count(size, func(int64) error { return nil }); held != size || err != nil {
		t.Fatal(held, err)
	}
	for bad := int64(0); bad < size; bad++ {
		_, err := count(size, func(i int64) error {
			if i == bad {
				return errors.New("bad")
			}
			return nil
		})
		if err == nil {
			t.Fatalf("number %d was left out", bad)
		}
	}
}
