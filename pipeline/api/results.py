"""Results of mapping: polygons, masks and probabilities of each scene, read on first use."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, overload

from pipeline.api.extras import optional
from pipeline.api.polygons import all_polygons, explore, read_polygons
from pipeline.errors import ConfigError, SceneError

if TYPE_CHECKING:
    from geopandas import GeoDataFrame
    from xarray import DataArray


@dataclass(frozen=True, kw_only=True, eq=False)
class MapResult:
    """The results of one scene; files are read on first use.

    Example:
        >>> result = overtile.map("scene.tif")[0]                       # doctest: +SKIP
        >>> result.polygons.area_m2.sum()                               # doctest: +SKIP
    """

    scene: str
    """The file, URL or item."""
    name: str
    """Name of the scene's folder; of a scene that failed, the file's."""
    state: str
    """``done``, ``unchanged`` (it was mapped before) or ``failed``."""
    folder: Path | None = None
    """Folder of the outputs; None where the scene failed."""
    reason: str | None = None
    """Why it failed."""
    summary: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The scene's row in the summary of ``overtile map``: tiles, warnings, scores."""
    keep: object = field(default=None, repr=False)
    """Keeps a temporary output folder alive."""

    @classmethod
    def from_row(cls, row: Mapping[str, Any], *, keep: object = None) -> MapResult:
        """Return the result that a row of the summary describes."""
        folder = Path(row["folder"]) if row.get("folder") else None
        return cls(
            scene=row["scene"],
            name=folder.name if folder else Path(row["scene"]).stem,
            state=row["state"],
            folder=folder,
            reason=row.get("reason"),
            summary=row,
            keep=keep,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """The warnings about the scene."""
        return tuple(self.summary.get("warnings", ()))

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """The content of ``run.json``: inputs, digests, versions, settings.

        Raises:
            SceneError: The scene failed.
        """
        found: dict[str, Any] = json.loads(self.file("run.json").read_text("utf-8"))
        return found

    @cached_property
    def polygons(self) -> GeoDataFrame:
        """The polygons in the scene's CRS; in pixels (x = column, y = row) where it has none.

        Raises:
            SceneError: The scene failed.
            ConfigError: The outputs have no polygons.
        """
        return read_polygons(self._folder(), self.manifest)

    @cached_property
    def mask(self) -> DataArray:
        """The classes as a lazy array (y, x), uint8: 0 background, 255 nodata (``rio.nodata``).

        Raises:
            SceneError: The scene failed.
            ConfigError: xarray or rioxarray is missing, or there is no mask.
        """
        found: DataArray = self._raster("mask.tif").squeeze("band", drop=True)
        return found.rename("mask")

    @cached_property
    def probability(self) -> DataArray:
        """The probabilities as a lazy array, float32 in 0..1, NaN where there is no data.

        Axes are (y, x), or (band, y, x) of several classes.

        Raises:
            SceneError: The scene failed.
            ConfigError: xarray or rioxarray is missing, or there are no probabilities.
        """
        found: DataArray = self._raster("probability.tif", mask_and_scale=True)
        if found.sizes["band"] == 1:
            found = found.squeeze("band", drop=True)
        return found.rename("probability")

    def explore(self, **settings: Any) -> Any:
        """Show the polygons on an interactive map (folium); without map tiles unless named.

        Args:
            **settings: Of `geopandas.GeoDataFrame.explore`, such as ``tiles="OpenStreetMap"``.

        Returns:
            A ``folium.Map``.

        Raises:
            SceneError: The scene failed.
            ConfigError: folium is missing; the message names the extra.

        Example:
            >>> overtile.map("scene.tif")[0].explore()                  # doctest: +SKIP
        """
        return explore(self.polygons, settings)

    def file(self, name: str) -> Path:
        """Return the path of an output.

        Args:
            name: Such as ``"polygons.geojson"``.

        Raises:
            SceneError: The scene failed.
            ConfigError: There is no such output.

        Example:
            >>> overtile.map("scene.tif", "out")[0].file("mask.tif")    # doctest: +SKIP
        """
        path = self._folder() / name
        if not path.is_file():
            known = ", ".join(sorted(one.name for one in self._folder().glob("[!.]*")))
            raise ConfigError(f"{self.name} has no {name}; it has {known or 'no outputs any more'}")
        return path

    def _folder(self) -> Path:
        if self.folder is None:
            raise _scene_error(self.scene, self.reason or self.state)
        return self.folder

    def _raster(self, name: str, **settings: Any) -> Any:
        rioxarray = optional("rioxarray", purpose=f"reading {name}")
        return rioxarray.open_rasterio(self.file(name), **settings)

    def _repr_html_(self) -> str:
        return f"<div>{self._picture()}<div>{html.escape(self._facts())}</div></div>"

    def _facts(self) -> str:
        if self.folder is None:
            return f"{self.name}: {self.state}: {self.reason}"
        facts = [f"{self.name}: {self.state}"]
        if "polygons" in self.summary:
            facts.append(f"{self.summary['polygons']} polygons")
        facts.append(f"model {self.manifest.get('model', {}).get('name', 'unknown')}")
        if self.warnings:
            facts.append(f"{len(self.warnings)} warnings")
        return ", ".join([*facts, str(self.folder)])

    def _picture(self) -> str:
        path = None if self.folder is None else self.folder / "quicklook.png"
        if path is None or not path.is_file():
            return ""
        data = base64.b64encode(path.read_bytes()).decode()
        alt = html.escape(f"quicklook of {self.name}", quote=True)
        return f'<img src="data:image/png;base64,{data}" alt="{alt}" style="max-width: 640px">'


@dataclass(frozen=True, kw_only=True, eq=False)
class MapResults(Sequence[MapResult]):
    """The results of mapping: a `MapResult` for each scene.

    Example:
        >>> results = overtile.map(["a.tif", "b.tif"])                  # doctest: +SKIP
        >>> [result.name for result in results if result.state == "done"]  # doctest: +SKIP
    """

    results: tuple[MapResult, ...]
    """One for each scene."""
    folder: Path
    """The output folder."""
    summary: Mapping[str, Any] = field(default_factory=dict, repr=False)
    """The summary of ``overtile map``."""

    @classmethod
    def from_summary(cls, summary: Mapping[str, Any], *, keep: object = None) -> MapResults:
        """Return the results that a summary describes."""
        results = tuple(MapResult.from_row(row, keep=keep) for row in summary["scenes"])
        return cls(results=results, folder=Path(summary["out"]), summary=summary)

    @property
    def failed(self) -> tuple[MapResult, ...]:
        """Scenes that could not be mapped; ``.reason`` has the cause."""
        return tuple(one for one in self.results if one.folder is None)

    @cached_property
    def polygons(self) -> GeoDataFrame:
        """The polygons of all scenes that did not fail, with the scene's name in ``scene_name``.

        In the scenes' CRS where it is one, else in longitude and latitude (EPSG:4326).

        Raises:
            SceneError: All scenes failed.
        """
        mapped = [one for one in self.results if one.folder is not None]
        if not mapped and self.results:
            return self.results[0].polygons
        return all_polygons({one.name: one.polygons for one in mapped})

    @property
    def mask(self) -> DataArray:
        """The classes of the only scene; see `MapResult.mask`.

        Raises:
            ConfigError: There are several scenes.
        """
        return self._only("mask").mask

    @property
    def probability(self) -> DataArray:
        """The probabilities of the only scene; see `MapResult.probability`.

        Raises:
            ConfigError: There are several scenes.
        """
        return self._only("probability").probability

    def explore(self, **settings: Any) -> Any:
        """Show the polygons of all scenes on an interactive map; see `MapResult.explore`.

        Args:
            **settings: Of `geopandas.GeoDataFrame.explore`.

        Returns:
            A ``folium.Map``.

        Raises:
            ConfigError: folium is missing; the message names the extra.

        Example:
            >>> overtile.map(["a.tif", "b.tif"]).explore()              # doctest: +SKIP
        """
        return explore(self.polygons, settings)

    @overload
    def __getitem__(self, index: int) -> MapResult: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[MapResult]: ...
    def __getitem__(self, index: int | slice) -> Any:
        """Return the result of a scene by its place."""
        return self.results[index]

    def __len__(self) -> int:
        """Return the number of scenes."""
        return len(self.results)

    def __iter__(self) -> Iterator[MapResult]:
        """Iterate over the results."""
        return iter(self.results)

    def _only(self, what: str) -> MapResult:
        if len(self.results) != 1:
            raise ConfigError(
                f"{len(self.results)} scenes: take the {what} of one, results[0].{what}"
            )
        return self.results[0]

    def _repr_html_(self) -> str:
        shown = "".join(one._repr_html_() for one in self.results[:10])
        rest = len(self.results) - 10
        return shown + (f"<div>and {rest} more scenes</div>" if rest > 0 else "")


def _scene_error(scene: str, reason: str) -> SceneError:
    """Return the error of a scene from the line that reported it: ``scene: reason; hint``."""
    fault, _, hint = reason.removeprefix(f"{scene}: ").rpartition("; ")
    return SceneError(scene, fault, hint) if fault else SceneError(scene, hint, "see the log")
